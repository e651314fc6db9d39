package parser

import "math"

// The chunked coding (RFC 9112 section 7.1). A chunk's line is a small automaton of a table: the rows are the places
// in the line, the columns the kinds of bytes, and an empty entry is the error. White space stands only where the
// grammar of an extension has it, never between the size and the line's end. Sizes and extensions are consumed as
// they come and leave nothing but counts behind.

// The places in a chunked body. Those before atSizeLF are the rows of the table.
const (
	atError      at = iota
	atSize          // the first digit of the size
	atSizeMore      // another, or what follows the size
	atSizeSpace     // white space behind the size: an extension must follow
	atExtension     // behind a semicolon
	atExtName       // in an extension's name
	atExtNameEnd    // white space behind the name
	atExtEquals     // behind the equals sign
	atExtToken      // in a value
	atExtQuoted     // in a quoted value
	atExtEscape     // behind a backslash in it
	atExtEnd        // behind its closing quote
	atExtSpace      // white space behind a value: another extension must follow
	atSizeLF        // the LF of the line
	atData          // in the data
	atDataCR        // the CR LF behind it
	atDataLF
)

// The kinds of bytes in a chunk's line.
const (
	other     = iota // what stands nowhere: control bytes, LF, DEL
	hexDigit         // a digit of the size; elsewhere as any of a token
	tokenByte        // the other bytes of a token
	space            // SP, HTAB
	semicolon
	equals
	quote
	backslash
	comma    // ends the member of a list; elsewhere as any other byte
	textByte // the other bytes of a quoted string, 8-bit ones among them
	cr
	kinds
)

var kind = kindOf()

func kindOf() (t [256]uint8) {
	for c := range t {
		switch {
		case class[c]&isHex != 0:
			t[c] = hexDigit
		case class[c]&isToken != 0:
			t[c] = tokenByte
		case class[c]&isValue != 0:
			t[c] = textByte
		}
	}
	t[' '], t['\t'], t[';'], t['='] = space, space, semicolon, equals
	t['"'], t['\\'], t[','], t['\r'] = quote, backslash, comma, cr
	return t
}

// after names the place that follows a place and a kind of byte.
var after = [atSizeLF][kinds]at{
	atSize:       {hexDigit: atSizeMore},
	atSizeMore:   {hexDigit: atSizeMore, space: atSizeSpace, semicolon: atExtension, cr: atSizeLF},
	atSizeSpace:  {space: atSizeSpace, semicolon: atExtension},
	atExtension:  {space: atExtension, hexDigit: atExtName, tokenByte: atExtName},
	atExtName:    {hexDigit: atExtName, tokenByte: atExtName, space: atExtNameEnd, semicolon: atExtension, equals: atExtEquals, cr: atSizeLF},
	atExtNameEnd: {space: atExtNameEnd, semicolon: atExtension, equals: atExtEquals},
	atExtEquals:  {space: atExtEquals, hexDigit: atExtToken, tokenByte: atExtToken, quote: atExtQuoted},
	atExtToken:   {hexDigit: atExtToken, tokenByte: atExtToken, space: atExtSpace, semicolon: atExtension, cr: atSizeLF},
	atExtQuoted: {
		hexDigit: atExtQuoted, tokenByte: atExtQuoted, space: atExtQuoted, semicolon: atExtQuoted, equals: atExtQuoted,
		comma: atExtQuoted, textByte: atExtQuoted, backslash: atExtEscape, quote: atExtEnd,
	},
	atExtEscape: {
		hexDigit: atExtQuoted, tokenByte: atExtQuoted, space: atExtQuoted, semicolon: atExtQuoted, equals: atExtQuoted,
		comma: atExtQuoted, textByte: atExtQuoted, backslash: atExtQuoted, quote: atExtQuoted,
	},
	atExtEnd:   {space: atExtSpace, semicolon: atExtension, cr: atSizeLF},
	atExtSpace: {space: atExtSpace, semicolon: atExtension},
}

// maxSizeDigits is how many digits a chunk size has at most: those of 64 bits. A bound on the value alone would let a
// peer send zeros for ever.
const maxSizeDigits = 16

// chunks reads a chunked body up to the line of its last chunk, and hands on to the trailer section.
func (p *Parser) chunks(b []byte, h *Head) (Event, int, error) {
	for i := 0; i < len(b); i++ {
		looked(1)
		switch c := b[i]; p.at {
		case atSizeLF:
			if c != '\n' {
				return p.failChunk(errLineEnd, i)
			}
			if p.left == 0 {
				p.begin(partTrailer, atLine)
				return p.trailer(b, i+1, h)
			}
			p.at = atData
		case atData:
			end := p.piece(b, i, h)
			if p.left == 0 {
				p.at = atDataCR
			}
			p.passed(end)
			return EventBody, end, nil
		case atDataCR:
			if c != '\r' {
				return p.failChunk(errChunkEnd, i)
			}
			p.at = atDataLF
		case atDataLF:
			if c != '\n' {
				return p.failChunk(errChunkEnd, i)
			}
			p.at, p.count = atSize, 0
		default:
			if err := p.sizeByte(c); err != nil {
				return p.failChunk(err, i)
			}
		}
	}
	p.passed(len(b))
	return NeedMore, len(b), nil
}

// passed counts n bytes of a chunked body, as they stand on the wire. The count only tells where a fault is.
func (p *Parser) passed(n int) { p.pos = uint32(min(uint64(p.pos)+uint64(n), math.MaxUint32)) }

// failChunk is fail for the byte i of what was given.
func (p *Parser) failChunk(err *Error, i int) (Event, int, error) {
	return p.fail(err, InBody, 0, i, uint64(p.pos)+uint64(i))
}

// sizeByte takes a byte of the line that begins a chunk.
func (p *Parser) sizeByte(c byte) *Error {
	was := p.at
	p.at = after[was][kind[c]]
	switch {
	case was > atSizeMore:
		return p.extensionByte()
	case p.at == atSizeMore:
		return p.sizeDigit(c)
	case p.at == atError:
		return errChunkSize
	}
	if err := p.sizeEnd(); err != nil || p.at == atSizeLF {
		return err
	}
	return p.extensionByte()
}

func (p *Parser) sizeDigit(c byte) *Error {
	if p.count == maxSizeDigits {
		return errChunkOverflow
	}
	p.count++
	p.left = p.left<<4 | uint64(unhex[c])
	return nil
}

// sizeEnd holds the size that is complete against the limit of the body.
func (p *Parser) sizeEnd() *Error {
	switch {
	case p.left > maxBody:
		return errChunkOverflow
	case p.left > p.Limits.body()-p.body:
		return errBodyLarge
	}
	p.body += p.left
	return nil
}

// extensionByte counts a byte behind the size, its line's CR left out.
func (p *Parser) extensionByte() *Error {
	switch {
	case p.at == atError:
		return errChunkExtension
	case p.at == atSizeLF:
		return nil
	case int(p.extensions) >= p.Limits.chunkExtensions():
		return errChunkExtensions
	}
	p.extensions++
	return nil
}
