package usage

// The number of tokens of a string is estimated without a vocabulary. The string is split
// like in the first step of tokenizers: into words with the preceding space, groups of up
// to three digits, and runs of punctuation and of white space. Each of these has the cost
// that such pieces have on average in the encoding o200k_base. The cost of a word grows
// with each letter, and with each change from lower case to upper case. In scripts other
// than Latin, each character has a cost.
//
// The estimator is a weighted automaton over bytes. It takes constant memory, and the
// pieces of the string may have any size and even split characters.

// estimator counts the tokens of a string. The zero value is at its beginning.
type estimator struct {
	cost  int64 // in hundredths of a token
	state textState
}

// costUnit is the cost of a token.
const costUnit = 100

// write reads the next piece of the text.
func (e *estimator) write(p []byte) {
	cost, state := 0, e.state
	for _, c := range p {
		next := &transitions[state][classOf[c]]
		cost += int(next.cost)
		state = next.to
	}
	e.cost += int64(cost)
	e.state = state
}

// Write implements [io.Writer].
func (e *estimator) Write(p []byte) (int, error) {
	e.write(p)
	return len(p), nil
}

// tokensOf returns the number of tokens of a cost.
func tokensOf(cost int64) int64 { return (cost + costUnit - 1) / costUnit }

// textState represents the context before the next byte of a string.
type textState uint8

const (
	atStart      textState = iota
	afterSpace             // after one space
	afterSpaces            // after several spaces, or indentation
	afterLine              // after the end of a line
	afterLetter            // after the first letter of a word
	afterLetter2           // after the second letter, and so on
	afterLetter3
	afterLetter4
	afterLetter5
	afterLetters // after six letters or more
	afterUpper   // after an upper-case letter that begins a word
	afterUppers  // after two of them
	afterCapital // after three or more
	afterDigit   // after the first digit of a group
	afterDigit2
	afterDigit3
	afterMark   // after punctuation
	afterMarks  // after several marks
	afterScript // after a letter of another script
	textStates
)

// class is a class of bytes with the same cost. The first byte of a character in UTF-8
// roughly determines its script.
type class uint8

const (
	classMark     class = iota // punctuation and control characters
	classSpace                 // space and tab
	classLine                  // LF and CR
	classLower                 // a to z
	classUpper                 // A to Z
	classDigit                 // 0 to 9
	classAccented              // U+0080 to U+037F: letters of European languages
	classGreek                 // U+0380 to U+03FF
	classCyrillic              // U+0400 to U+04FF
	classArmenian              // U+0500 to U+057F
	classHebrew                // U+0580 to U+05FF
	classArabic                // U+0600 to U+07FF
	classIndic                 // scripts of India and Thailand
	classMixed                 // U+1000 to U+1FFF: Georgian, Khmer, Vietnamese accents
	classSymbol                // U+2000 to U+2FFF: quotation marks, arrows, boxes
	classKana                  // U+3000 to U+3FFF
	classHan                   // U+4000 to U+9FFF
	classHangul                // U+A000 to U+DFFF
	classWide                  // fullwidth punctuation
	classEmoji                 // U+10000 and above
	classRest                  // continuation bytes, which cost nothing
	classes
)

var classOf = func() (of [256]class) {
	set := func(first, last byte, to class) {
		for c := int(first); c <= int(last); c++ {
			of[c] = to
		}
	}
	set(' ', ' ', classSpace)
	set('\t', '\t', classSpace)
	set('\n', '\n', classLine)
	set('\r', '\r', classLine)
	set('a', 'z', classLower)
	set('A', 'Z', classUpper)
	set('0', '9', classDigit)
	set(0x80, 0xbf, classRest)
	set(0xc0, 0xcd, classAccented)
	set(0xce, 0xcf, classGreek)
	set(0xd0, 0xd3, classCyrillic)
	set(0xd4, 0xd5, classArmenian)
	set(0xd6, 0xd7, classHebrew)
	set(0xd8, 0xdf, classArabic)
	set(0xe0, 0xe0, classIndic)
	set(0xe1, 0xe1, classMixed)
	set(0xe2, 0xe2, classSymbol)
	set(0xe3, 0xe3, classKana)
	set(0xe4, 0xe9, classHan)
	set(0xea, 0xee, classHangul)
	set(0xef, 0xef, classWide)
	set(0xf0, 0xff, classEmoji)
	return of
}()

// characterCosts holds the costs of characters of other scripts, in any state.
var characterCosts = map[class]uint8{
	classGreek: 45, classCyrillic: 36, classArmenian: 40, classHebrew: 50, classArabic: 42, classIndic: 40,
	classMixed: 45, classSymbol: 50, classKana: 70, classHan: 80, classHangul: 80, classWide: 15, classEmoji: 160,
}

// transition is the effect of a byte: the next state, and a cost.
type transition struct {
	to   textState
	cost uint8
}

// transitions holds the transitions by state and class. The costs were fitted to
// prose in 40 languages, code in 10 languages and data, as counted by o200k_base.
var transitions = func() (all [textStates][classes]transition) {
	for state := range textStates {
		to := &all[state]
		to[classRest] = transition{state, 0}
		for class, cost := range characterCosts {
			to[class] = transition{afterScript, cost}
		}
		to[classSpace], to[classLine] = spaceTransition(state), lineTransition(state)
		to[classLower], to[classUpper] = lowerTransition(state), upperTransition(state)
		to[classAccented] = to[classLower]
		to[classAccented].cost += 75
		to[classDigit], to[classMark] = digitTransition(state), markTransition(state)
	}
	return all
}()

func spaceTransition(state textState) transition {
	switch state {
	case afterSpace:
		return transition{afterSpaces, 100}
	case afterSpaces:
		return transition{afterSpaces, 0}
	case afterLine:
		return transition{afterSpaces, 60}
	default:
		return transition{afterSpace, 0} // part of the next word or mark
	}
}

func lineTransition(state textState) transition {
	switch state {
	case afterLine, afterMark, afterMarks:
		return transition{afterLine, 0}
	default:
		return transition{afterLine, 60}
	}
}

func lowerTransition(state textState) transition {
	switch {
	case state >= afterLetter && state < afterLetter5:
		return transition{state + 1, 3}
	case state == afterLetter5, state == afterLetters:
		return transition{afterLetters, 13}
	case state == afterUpper:
		return transition{afterLetter2, 3}
	default:
		return transition{afterLetter, wordCost(state)}
	}
}

func upperTransition(state textState) transition {
	switch {
	case state == afterUpper:
		return transition{afterUppers, 60}
	case state == afterUppers, state == afterCapital:
		return transition{afterCapital, 5}
	case state >= afterLetter && state <= afterLetters:
		return transition{afterUpper, 80}
	default:
		return transition{afterUpper, wordCost(state)}
	}
}

// wordCost returns the cost of the first letter of a word.
func wordCost(state textState) uint8 {
	switch state {
	case afterUppers, afterCapital:
		return 60
	case afterDigit, afterDigit2, afterDigit3:
		return 110
	case afterMark, afterMarks:
		return 45 // several marks are one token with the word
	case afterScript:
		return 50
	default:
		return 87
	}
}

func digitTransition(state textState) transition {
	switch state {
	case afterDigit, afterDigit2:
		return transition{state + 1, 0}
	case afterSpace, afterSpaces:
		return transition{afterDigit, 180} // the space is a token
	default:
		return transition{afterDigit, 100}
	}
}

func markTransition(state textState) transition {
	switch state {
	case afterMark:
		return transition{afterMarks, 33}
	case afterMarks:
		return transition{afterMarks, 4}
	case afterSpace:
		return transition{afterMark, 110}
	default:
		return transition{afterMark, 100}
	}
}
