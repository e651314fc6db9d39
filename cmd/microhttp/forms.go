package main

// JSON and forms as a service takes them: strictly, with every refusal as a problem document (RFC 9457).

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"

	"microhttp/server"
)

// returnJSON answers with the document that came, numbers as they came.
func returnJSON(w *server.Response, r *server.Request) error {
	var v any
	if err := r.DecodeJSON(&v, server.KeepNumbers()); err != nil {
		return err
	}
	w.JSON(200, v)
	return nil
}

// formSummary is what a form has.
type formSummary struct {
	Fields map[string][]string `json:"fields"`
	Files  []fileSummary       `json:"files"`
}

type fileSummary struct {
	Field  string `json:"field"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// maxFieldBytes bounds the fields of a multipart form of the demo.
const maxFieldBytes = 1 << 20

// summarizeForm answers with the fields and the files of a form. Files are read as they come, so none is ever kept.
func summarizeForm(w *server.Response, r *server.Request) error {
	all := formSummary{Fields: map[string][]string{}, Files: []fileSummary{}}
	reader, err := r.MultipartReader()
	if errors.Is(err, server.ErrNotMultipart) {
		fields, err := r.Form()
		if err != nil {
			return err
		}
		all.Fields = fields
		w.JSON(200, all)
		return nil
	}
	if err != nil {
		return err
	}
	for left := int64(maxFieldBytes); ; {
		part, err := reader.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			w.JSON(200, all)
			return nil
		case err != nil:
			return server.FormError(err)
		case part.FileName() != "":
			f, err := summarizeFile(part)
			if err != nil {
				return server.FormError(err)
			}
			all.Files = append(all.Files, f)
		default:
			b, err := io.ReadAll(io.LimitReader(part, left+1))
			if err != nil {
				return server.FormError(err)
			}
			if left -= int64(len(b)) + int64(len(part.FormName())) + 64; left < 0 {
				return server.Fail(413, "the form has too many fields")
			}
			all.Fields[part.FormName()] = append(all.Fields[part.FormName()], string(b))
		}
		if len(all.Files) > 1000 {
			return server.Fail(413, "the form has more than 1000 files")
		}
	}
}

func summarizeFile(part *multipart.Part) (fileSummary, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, part)
	return fileSummary{part.FormName(), part.FileName(), n, hex.EncodeToString(sum.Sum(nil))}, err
}
