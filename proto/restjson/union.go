package restjson

// Tag looks ahead in a tagged union's object, which o has just entered, for
// the member that names its branch. It returns the branch's number by parse, -1
// for a tag that is no string or that parse doesn't know, and 0 where there is
// no tag or it is null.
//
// OpenAI writes the tag first or nearly so; then looking ahead costs little.
func (d *Decoder) Tag(o *Object, name string, parse func([]byte) int) int {
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
		text, ok := ahead.text()
		if !ok {
			return -1
		}
		return parse(text)
	}
	return 0
}

// KeepTag moves past the union's tag. It is spilled at the end, by
// [Decoder.SpillTag], if its payload didn't come.
func (d *Decoder) KeepTag(o *Object) {
	if !d.Null() {
		d.skip()
		o.tag = span{o.member, d.pos}
	}
}

// SpillTag keeps the text of the tag, in its place among the spilled members.
func (d *Decoder) SpillTag(o *Object) {
	if o.tag.end > 0 {
		d.insert(o, o.tag)
	}
}
