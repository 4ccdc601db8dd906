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

// OptionalString is [Optional] for strings. Messages have many of them, so it
// allocates several at once.
func (d *Decoder) OptionalString(dst **string) bool {
	if d.Null() {
		return true
	}
	v := d.stringFields.next()
	if !d.String(v) {
		return false
	}
	*dst = v
	return true
}

// OptionalInt32 is [Optional] for integers. It allocates several at once.
func (d *Decoder) OptionalInt32(dst **int32) bool {
	v, ok := d.integer()
	if !ok {
		return d.Null()
	}
	if v != int64(int32(v)) {
		return false
	}
	*dst = d.int32Fields.next()
	**dst = int32(v)
	return true
}

// Message reads a message.
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
	var a arrayReader
	d.openArray(&a)
	for d.nextItem(&a) {
		if d.peek() == 'n' {
			return false
		}
		var m M
		if list == nil {
			// Most lists have one message. It shares the allocation of the list.
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

// List reads an array. All items must match, and null does not.
func List[T any](d *Decoder, dst *[]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	var list []T
	var a arrayReader
	d.openArray(&a)
	for d.nextItem(&a) {
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

// ListOrSingle reads an array, or one value as a list of one item.
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

// Map reads an object. All values must match; null does not, and neither does a
// repeated key.
func Map[T any](d *Decoder, dst *map[string]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	var o ObjectReader
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
