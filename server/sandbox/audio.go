package sandbox

import (
	"encoding/binary"
	"hash/fnv"
)

// The audio of a response is a tone for each token of its transcript. Its format is that
// of OpenAI's pcm16: 24 kHz, mono, 16 bits.
const (
	sampleRate  = 24_000
	sampleBytes = 2
	toneSamples = sampleRate / 100 // 10 ms
	maxTones    = 50
	amplitude   = 8_000
)

// audioLifetime is the lifetime of a response's audio ID in seconds.
const audioLifetime = 3600

const (
	formatWAV = "wav"
	formatPCM = "pcm16"
)

// checkAudioFormat rejects unsupported formats. Streams support only pcm16, as at OpenAI.
// The sandbox has no encoders.
func checkAudioFormat(r *request) error {
	switch {
	case r.audioFormat == "" || r.audioFormat == formatPCM || r.audioFormat == formatWAV && !r.stream:
		return nil
	case r.stream:
		return invalid("audio.format", "unsupported_value", "Invalid 'audio.format': expected pcm16 in a stream.")
	default:
		return invalid("audio.format", "unsupported_value", "Invalid 'audio.format': the sandbox supports only wav and pcm16.")
	}
}

// synthesizeAudio returns the samples for a transcript's tokens, without a file header.
func synthesizeAudio(transcript []string) []byte {
	var out []byte
	for _, token := range transcript[:min(len(transcript), maxTones)] {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(token))
		period := 40 + int(sum.Sum32()%80)
		for i := range toneSamples {
			phase := i % period
			if phase > period/2 {
				phase = period - phase
			}
			level := 4*amplitude*phase/period - amplitude // a triangle wave
			out = binary.LittleEndian.AppendUint16(out, uint16(int16(level)))
		}
	}
	return out
}

// encodeAudio returns samples in a format: it adds the header of a WAV file.
func encodeAudio(format string, samples []byte) []byte {
	if format != formatWAV {
		return samples
	}
	size := uint32(len(samples))
	header := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+size)...)
	header = append(header, "WAVEfmt "...)
	for _, field := range []any{
		uint32(16), uint16(1), uint16(1), uint32(sampleRate), uint32(sampleRate * sampleBytes),
		uint16(sampleBytes), uint16(8 * sampleBytes),
	} {
		header, _ = binary.Append(header, binary.LittleEndian, field)
	}
	header = append(header, "data"...)
	header = binary.LittleEndian.AppendUint32(header, size)
	return append(header, samples...)
}
