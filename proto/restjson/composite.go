package restjson

// Optional reads a value into a field with presence.
func Optional[T any](d *Decoder, dst **T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	v := new(T)
	if !read(d, v) {
		return false
	}
	*dst = v
	return true
}

// OptionalString is [Optional] for strings, of which messages have many: they
// are allocated some at a time.
func (d *Decoder) OptionalString(dst **string) bool {
	if d.Null() {
		return true
	}
	v := d.strings.next()
	if !d.String(v) {
		return false
	}
	*dst = v
	return true
}

// OptionalInt32 is [Optional] for integers, as OptionalString is for strings.
func (d *Decoder) OptionalInt32(dst **int32) bool {
	v, ok := d.integer()
	if !ok {
		return d.Null()
	}
	if v != int64(int32(v)) {
		return false
	}
	*dst = d.int32s.next()
	**dst = int32(v)
	return true
}

// Message reads a value that a message stands for.
func Message[T any, M interface {
	*T
	Decodable
}](d *Decoder, dst *M,
) bool {
	if d.Null() {
		return true
	}
	m := M(new(T))
	if !m.DecodeREST(d) {
		return false
	}
	*dst = m
	return true
}

// Messages is [List] for messages.
func Messages[T any, M interface {
	*T
	Decodable
}](d *Decoder, dst *[]M,
) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	var list []M
	var a array
	d.open(&a)
	for d.elem(&a) {
		if d.peek() == 'n' {
			return false
		}
		var m M
		if list == nil {
			// Most lists have one message: it shares the list's memory.
			one := new(struct {
				list    [1]M
				message T
			})
			list, m = one.list[:0], M(&one.message)
		} else {
			m = new(T)
		}
		if !m.DecodeREST(d) {
			return false
		}
		list = append(list, m)
	}
	*dst = list
	return true
}

// List reads an array of values that all fit; null doesn't.
func List[T any](d *Decoder, dst *[]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	var list []T
	var a array
	d.open(&a)
	for d.elem(&a) {
		if d.peek() == 'n' {
			return false
		}
		list = append(list, *new(T))
		if !read(d, &list[len(list)-1]) {
			return false
		}
	}
	*dst = list
	return true
}

// ListOrSingle reads a list, or one value as a list of one.
func ListOrSingle[T any](d *Decoder, dst *[]T, read func(*Decoder, *T) bool) bool {
	if d.peek() == '[' || d.peek() == 'n' {
		return List(d, dst, read)
	}
	var v T
	if !read(d, &v) {
		return false
	}
	*dst = []T{v}
	return true
}

// Map reads an object of values that all fit; null and a repeated key don't.
func Map[T any](d *Decoder, dst *map[string]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	var o Object
	if !d.Object(&o) {
		return false
	}
	m := make(map[string]T)
	for d.Next(&o) {
		name := d.Key(&o)
		if name == nil || d.peek() == 'n' {
			return false
		}
		key := string(name)
		if _, repeated := m[key]; repeated {
			return false
		}
		var v T
		if !read(d, &v) {
			return false
		}
		m[key] = v
	}
	*dst = m
	return true
}
