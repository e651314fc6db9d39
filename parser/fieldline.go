package parser

// Field lines: field-name ":" OWS field-value OWS CRLF (RFC 9112 section 5), until an empty line. A head and a trailer
// section differ only in where their lines go and whether they mean anything. No line is folded, no white space
// stands before a colon, and lines end in CR LF alone: what section 2.2 and 5.2 let a recipient repair is refused.

// fieldLines scans from w[i] to behind the empty line's LF. The line that is being scanned is the last of its list.
func (p *Parser) fieldLines(w []byte, i int, h *Head) (int, *Error) {
	lines := &h.Fields
	if p.part == partTrailer {
		lines = &h.Trailers
	}
	f := lastLine(*lines)
	for i < len(w) {
		switch p.at {
		case atLine, atName:
			begin := i
			i = runEnd(w, i, isToken)
			if p.at == atLine {
				if i == begin && w[i] == '\r' {
					i++
					p.at = atSectionLF
					continue
				}
				if i == begin {
					return i, noLine(w[i])
				}
				if len(h.Fields)+len(h.Trailers) >= p.Limits.fieldLines() {
					return begin, errFieldLines
				}
				*lines = append(*lines, Field{Name: Span{Off: uint32(begin)}})
				f = lastLine(*lines)
				p.at = atName
			}
			if i == len(w) {
				return i, errMore
			}
			if w[i] != ':' {
				return i, errFieldName
			}
			f.Name.Len = uint32(i) - f.Name.Off
			f.Known = fieldID(w[f.Name.Off:i])
			i++
			p.at = atSpace
			fallthrough
		case atSpace:
			begin := i
			for i < len(w) && isSpace(w[i]) {
				i++
			}
			looked(min(i+1, len(w)) - begin)
			if i == len(w) {
				return i, errMore
			}
			f.Value.Off = uint32(i)
			p.at = atValue
			fallthrough
		case atValue:
			i = valueEnd(w, i)
			if i == len(w) {
				return i, errMore
			}
			if w[i] != '\r' {
				return i, errFieldValue
			}
			f.Value.Len = uint32(trimEnd(w, int(f.Value.Off), i)) - f.Value.Off
			i++
			p.at = atValueLF
			if i == len(w) {
				return i, errMore
			}
			fallthrough
		case atValueLF:
			looked(1)
			if w[i] != '\n' {
				return i, errLineEnd
			}
			if f.Known-1 < lastMeaningful && p.part == partHead {
				if err := h.note(w, f); err != nil {
					return i, err
				}
			}
			i++
			p.at = atLine
		default: // atSectionLF
			looked(1)
			if w[i] != '\n' {
				return i, errLineEnd
			}
			return i + 1, nil
		}
	}
	return i, errMore
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
