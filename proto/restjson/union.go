package restjson

// Tag finds the tag of a tagged union by looking ahead in the object that o has
// just begun to read. It returns the number of the branch from parse, -1 for a tag
// that is not a string or unknown, and 0 if there is no tag or it is null.
//
// OpenAI writes the tag first or nearly first, so looking ahead is cheap.
func (d *Decoder) Tag(o *ObjectReader, name string, parse func([]byte) int) int {
	ahead := *d
	walk := *o
	for ahead.Next(&walk) {
		if string(ahead.Key(&walk)) != name {
			ahead.skip()
			continue
		}
		if ahead.Null() {
			return 0
		}
		text, ok := ahead.stringBytes()
		if !ok {
			return -1
		}
		return parse(text)
	}
	return 0
}

// KeepTag skips the tag and remembers it for [Decoder.SpillTag].
func (d *Decoder) KeepTag(o *ObjectReader) {
	if !d.Null() {
		d.skip()
		o.tag = span{o.member, d.pos}
	}
}

// SpillTag spills the tag. It is for a tagged object without the payload.
func (d *Decoder) SpillTag(o *ObjectReader) {
	if o.tag.end > 0 {
		d.insert(o, o.tag)
	}
}
