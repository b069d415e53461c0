// Oracle renders the cases of the corpus with Go's own text/template: cases as JSON on standard input, what each of
// them gives on standard output.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
)

type testCase struct {
	Name       string            `json:"name"`
	Template   string            `json:"template"`
	Data       json.RawMessage   `json:"data"`
	MissingKey string            `json:"missing_key"`
	Left       string            `json:"left"`
	Right      string            `json:"right"`
	Store      map[string]string `json:"store"`
	Env        map[string]string `json:"env"`
	Confd      bool              `json:"confd"`
}

type result struct {
	WantHex string `json:"want_hex"`
	Error   string `json:"error"`
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		fmt.Fprintln(os.Stderr, "no cases:", err)
		os.Exit(1)
	}
	results := make([]result, 0, len(cases))
	for _, c := range cases {
		text, err := c.render()
		if err != nil {
			results = append(results, result{Error: err.Error()})
		} else {
			results = append(results, result{WantHex: hex.EncodeToString(text)})
		}
	}
	json.NewEncoder(os.Stdout).Encode(results)
}

func (c testCase) render() ([]byte, error) {
	functions := testFunctions()
	if c.Confd {
		functions = confdFunctions(c.Store, c.Env)
	}
	t := template.New("t").Delims(c.Left, c.Right).Funcs(functions)
	if c.MissingKey != "" {
		t = t.Option("missingkey=" + c.MissingKey)
	}
	t, err := t.Parse(c.Template)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, decode(c.Data))
	return out.Bytes(), err
}

// decode reads JSON with Go's types: whole numbers are ints, and an object whose one key starts with a dollar sign
// is what the key says.
func decode(data json.RawMessage) any {
	if len(data) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	return typed(value)
}

func typed(value any) any {
	switch value := value.(type) {
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			float, _ := value.Float64()
			return float
		}
		integer, _ := value.Int64()
		return int(integer)
	case []any:
		list := make([]any, 0, len(value))
		for _, item := range value {
			list = append(list, typed(item))
		}
		return list[:len(list):len(list)]
	case map[string]any:
		for key, inner := range value {
			if strings.HasPrefix(key, "$") {
				return special(key, typed(inner))
			}
		}
		for key, inner := range value {
			value[key] = typed(inner)
		}
		return value
	}
	return value
}

func special(kind string, value any) any {
	switch kind {
	case "$strings":
		list := []string{}
		for _, item := range value.([]any) {
			list = append(list, item.(string))
		}
		return list[:len(list):len(list)]
	case "$ints":
		list := []int{}
		for _, item := range value.([]any) {
			list = append(list, item.(int))
		}
		return list[:len(list):len(list)]
	case "$stringmap":
		entries := map[string]string{}
		for key, item := range value.(map[string]any) {
			entries[key] = item.(string)
		}
		return entries
	case "$kv":
		return pair(value)
	case "$kvs":
		list := []KVPair{}
		for _, item := range value.([]any) {
			list = append(list, pair(item))
		}
		return list[:len(list):len(list)]
	case "$clock":
		return Clock{value.(int)}
	case "$func":
		return testFunctions()[value.(string)]
	case "$byte":
		return uint8(value.(int))
	case "$uint":
		return uint64(value.(int))
	}
	panic("unknown " + kind)
}

func pair(value any) KVPair {
	both := value.([]any)
	return KVPair{both[0].(string), both[1].(string)}
}

// KVPair is a struct.
type KVPair struct {
	Key   string
	Value string
}

// Clock is a value with methods.
type Clock struct{ hour int }

// String makes it a fmt.Stringer.
func (c Clock) String() string { return fmt.Sprintf("%02d:00", c.hour) }

// Add has an argument, and gives something that has methods.
func (c Clock) Add(hours int) Clock { return Clock{c.hour + hours} }

// Hour has none.
func (c Clock) Hour() int { return c.hour }

// Format has one.
func (c Clock) Format(layout string) string {
	return strings.ReplaceAll(layout, "15", fmt.Sprint(c.hour))
}

// Fail fails.
func (c Clock) Fail() (string, error) { return "", errors.New("the clock stands still") }

func testFunctions() template.FuncMap {
	return template.FuncMap{
		"add":     func(a, b int) int { return a + b },
		"half":    func(a float64) float64 { return a / 2 },
		"either":  func(which bool, a, b any) any { return map[bool]any{true: a, false: b}[which] },
		"upper":   strings.ToUpper,
		"fail":    func(message string) (string, error) { return "", errors.New(message) },
		"nothing": func() any { return nil },
		"anys":    func(items ...any) []any { return items[:len(items):len(items)] },
		"strings": func(items ...string) []string { return items[:len(items):len(items)] },
		"join":    func(items []string, separator string) string { return strings.Join(items, separator) },
		"size":    func(entries map[string]any) int { return len(entries) },
		"at":      func(hour int) Clock { return Clock{hour} },
		"hour":    func(clock Clock) int { return clock.hour },
		"pair":    func(key, value string) KVPair { return KVPair{key, value} },
		"octets":  func() string { return "\xff\x00é\xc3" },
	}
}
