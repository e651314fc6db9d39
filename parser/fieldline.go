package parser

// Field lines: field-name ":" OWS field-value OWS CRLF (RFC 9112 section 5), until an empty line. A head and a trailer
// section differ only in where their lines go and whether they mean anything. No line is folded, no white space
// stands before a colon, and lines end in CR LF alone: what section 2.2 and 5.2 let a recipient repair is refused.

// fieldLines scans from w[i] to behind the empty line's LF.
func (p *Parser) fieldLines(w []byte, i int, h *Head) (int, *Error) {
	f := &h.line
	for i < len(w) {
		switch p.at {
		case atLine:
			if w[i] == '\r' {
				i++
				p.at = atSectionLF
				continue
			}
			if err := p.beginLine(w[i], h); err != nil {
				return i, err
			}
			f.Name.Off = uint32(i)
			p.at = atName
			fallthrough
		case atName:
			for i < len(w) && class[w[i]]&isToken != 0 {
				i++
			}
			if i == len(w) {
				return i, errMore
			}
			if w[i] != ':' {
				return i, errFieldName
			}
			f.Name.Len = uint32(i) - f.Name.Off
			f.Known = fieldID(f.Name.In(w))
			i++
			p.at = atSpace
			fallthrough
		case atSpace:
			for i < len(w) && (w[i] == ' ' || w[i] == '\t') {
				i++
			}
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
			if w[i] != '\n' {
				return i, errLineEnd
			}
			if err := p.endLine(w, h); err != nil {
				return i, err
			}
			i++
			p.at = atLine
		default: // atSectionLF
			if w[i] != '\n' {
				return i, errLineEnd
			}
			return i + 1, nil
		}
	}
	return i, errMore
}

// beginLine decides whether a field line may begin, and with c.
func (p *Parser) beginLine(c byte, h *Head) *Error {
	switch {
	case class[c]&isToken != 0:
		if len(h.Fields)+len(h.Trailers) >= p.Limits.fieldLines() {
			return errFieldLines
		}
		return nil
	case c == ' ' || c == '\t':
		return errFieldFold
	}
	return errFieldName
}

// endLine keeps the line that is complete, and lets it say what it means if it stands in a head.
func (p *Parser) endLine(w []byte, h *Head) *Error {
	if p.part == partTrailer {
		h.Trailers = append(h.Trailers, h.line)
		return nil
	}
	h.Fields = append(h.Fields, h.line)
	if h.line.Known <= lastMeaningful && h.line.Known != FieldOther {
		return h.note(w, h.line)
	}
	return nil
}

// trimEnd moves end back over the white space before it, not beyond begin.
func trimEnd(w []byte, begin, end int) int {
	for end > begin && (w[end-1] == ' ' || w[end-1] == '\t') {
		end--
	}
	return end
}
