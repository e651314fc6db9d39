package parser

// Field lines: field-name ":" OWS field-value OWS CRLF (RFC 9112 section 5), until an empty line. A head and a trailer
// section differ only in where their lines go and whether they mean anything. No line is folded, no white space
// stands before a colon, and lines end in CR LF alone: what section 2.2 and 5.2 let a recipient repair is refused.

// fieldLines scans from w[i] to behind the empty line's LF. The line that is being scanned is the last of its list. Each round
// of the loop is a line; only the first may enter it further down, where the bytes ran out in the call before.
func (p *Parser) fieldLines(w []byte, i int, h *Head) (int, *Error) {
	lines, most, meaningful := &h.Fields, p.Limits.fieldLines(), lastMeaningful
	if p.part == partTrailer {
		lines, most, meaningful = &h.Trailers, most-len(h.Fields), FieldOther
	}
	f := lastLine(*lines)
	for at := p.at; ; at = atLine {
		if at == atLine {
			if i == len(w) {
				return p.pause(i, atLine)
			}
			looked(1)
			switch c := w[i]; {
			case class[c]&isToken != 0:
				if len(*lines) >= most {
					return i, errFieldLines
				}
				f = addLine(lines)
				*f = Field{Name: Span{Off: uint32(i)}}
			case c == '\r':
				at = atSectionLF
			default:
				return i, noLine(c)
			}
			i++
		}
		if at == atSectionLF {
			return p.sectionLF(w, i)
		}
		if at <= atName {
			if i = runEnd(w, i, isToken); i >= len(w) {
				return p.pause(i, atName)
			}
			if w[i] != ':' {
				return i, errFieldName
			}
			f.Name.Len = uint32(i) - f.Name.Off
			f.Known = fieldID(w, int(f.Name.Off), i)
			i++
		}
		if at <= atSpace {
			begin := i
			for i < len(w) && isSpace(w[i]) {
				i++
			}
			lookedTo(w, begin, i)
			if i >= len(w) {
				return p.pause(i, atSpace)
			}
			f.Value.Off = uint32(i)
		}
		if at <= atValue {
			if i = valueEnd(w, i); i >= len(w) {
				return p.pause(i, atValue)
			}
			if w[i] != '\r' {
				return i, errFieldValue
			}
			f.Value.Len = uint32(trimEnd(w, int(f.Value.Off), i)) - f.Value.Off
			i++
		}
		if i >= len(w) {
			return p.pause(i, atValueLF)
		}
		looked(1)
		if w[i] != '\n' {
			return i, errLineEnd
		}
		if f.Known-1 < meaningful {
			if err := h.note(w, f); err != nil {
				return i, err
			}
		}
		i++
	}
}

// pause keeps the place: the bytes have run out.
func (p *Parser) pause(i int, place at) (int, *Error) {
	p.at = place
	return i, errMore
}

// sectionLF takes the LF of the empty line.
func (p *Parser) sectionLF(w []byte, i int) (int, *Error) {
	if i == len(w) {
		return p.pause(i, atSectionLF)
	}
	looked(1)
	if w[i] != '\n' {
		return i, errLineEnd
	}
	return i + 1, nil
}

// addLine appends a line and returns it. It holds what an earlier message left there: append would store it, and load it
// again.
func addLine(lines *[]Field) *Field {
	n := len(*lines)
	if n < cap(*lines) {
		*lines = (*lines)[:n+1]
	} else {
		*lines = append(*lines, Field{})
	}
	return &(*lines)[n]
}

func lastLine(lines []Field) *Field {
	if len(lines) == 0 {
		return nil
	}
	return &lines[len(lines)-1]
}

// noLine says why no field line begins with c.
func noLine(c byte) *Error {
	if isSpace(c) {
		return errFieldFold
	}
	return errFieldName
}

// trimEnd moves end back over the white space before it, not beyond begin.
func trimEnd(w []byte, begin, end int) int {
	was := end
	for end > begin && isSpace(w[end-1]) {
		end--
	}
	looked(min(was-end+1, was-begin))
	return end
}
