package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"path"
	"sort"
	"strconv"
	"strings"
	"text/template"
)

// store holds the keys of a case: what confd's functions read.
type store struct {
	values map[string]string
}

func clean(key string) string {
	return path.Join("/", key)
}

func (s store) keys() []string {
	keys := make([]string, 0, len(s.values))
	for key := range s.values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func (s store) get(key string) (KVPair, error) {
	value, ok := s.values[key]
	if !ok {
		return KVPair{}, errors.New("key does not exist: " + key)
	}
	return KVPair{key, value}, nil
}

func (s store) getv(key string, fallback ...string) (string, error) {
	pair, err := s.get(key)
	if err != nil && len(fallback) > 0 {
		return fallback[0], nil
	}
	return pair.Value, err
}

func (s store) gets(pattern string) ([]KVPair, error) {
	pairs := []KVPair{}
	for _, key := range s.keys() {
		matched, err := path.Match(pattern, key)
		if err != nil {
			return nil, err
		}
		if matched {
			pairs = append(pairs, KVPair{key, s.values[key]})
		}
	}
	return pairs, nil
}

func (s store) getvs(pattern string) ([]string, error) {
	pairs, err := s.gets(pattern)
	values := []string{}
	for _, pair := range pairs {
		values = append(values, pair.Value)
	}
	sort.Strings(values)
	return values, err
}

func (s store) exists(key string) bool {
	_, ok := s.values[key]
	return ok
}

// children lists the next path elements under a directory, or only those that are directories.
func (s store) children(dir string, onlyDirs bool) []string {
	dir = clean(dir)
	prefix := strings.TrimSuffix(dir, "/") + "/"
	names := map[string]bool{}
	for key := range s.values {
		if key == dir && !onlyDirs {
			names[path.Base(key)] = true
		}
		rest := strings.TrimPrefix(key, prefix)
		if rest == key {
			continue
		}
		name, _, isDir := strings.Cut(rest, "/")
		if isDir || !onlyDirs {
			names[name] = true
		}
	}
	list := []string{}
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

func confdFunctions(values, env map[string]string) template.FuncMap {
	s := store{map[string]string{}}
	for key, value := range values {
		s.values[clean(key)] = value
	}
	return template.FuncMap{
		"get":    s.get,
		"getv":   s.getv,
		"gets":   s.gets,
		"getvs":  s.getvs,
		"exists": s.exists,
		"ls":     func(dir string) []string { return s.children(dir, false) },
		"lsdir":  func(dir string) []string { return s.children(dir, true) },

		"base":       path.Base,
		"dir":        path.Dir,
		"split":      strings.Split,
		"join":       strings.Join,
		"toUpper":    strings.ToUpper,
		"toLower":    strings.ToLower,
		"contains":   strings.Contains,
		"replace":    strings.Replace,
		"trimSuffix": strings.TrimSuffix,

		"json": func(text string) (map[string]any, error) {
			var value map[string]any
			err := json.Unmarshal([]byte(text), &value)
			return value, err
		},
		"jsonArray": func(text string) ([]any, error) {
			var value []any
			err := json.Unmarshal([]byte(text), &value)
			return value, err
		},
		"map":          makeMap,
		"base64Encode": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"base64Decode": func(text string) (string, error) {
			data, err := base64.StdEncoding.DecodeString(text)
			return string(data), err
		},
		"parseBool": strconv.ParseBool,
		"atoi":      strconv.Atoi,

		"add": func(a, b int) int { return a + b },
		"sub": func(a, b int) int { return a - b },
		"mul": func(a, b int) int { return a * b },
		"div": func(a, b int) int { return a / b },
		"mod": func(a, b int) int { return a % b },
		"seq": func(first, last int) []int {
			list := []int{}
			for i := first; i <= last; i++ {
				list = append(list, i)
			}
			return list
		},

		"reverse": reverse,
		"sortByLength": func(list []string) []string {
			sort.SliceStable(list, func(i, j int) bool { return len(list[i]) < len(list[j]) })
			return list
		},
		"sortKVByLength": func(list []KVPair) []KVPair {
			sort.SliceStable(list, func(i, j int) bool { return len(list[i].Key) < len(list[j].Key) })
			return list
		},

		"getenv": func(name string, fallback ...string) string {
			if env[name] == "" && len(fallback) > 0 {
				return fallback[0]
			}
			return env[name]
		},
		// What depends on the machine and the time is in the cases only as far as it must be known.
		"datetime":   func() Clock { return Clock{8} },
		"fileExists": func(string) bool { return false },
		"lookupIP":   func(string) []string { return []string{} },
		"lookupIPV4": func(string) []string { return []string{} },
		"lookupIPV6": func(string) []string { return []string{} },
		"lookupSRV":  func(string, string, string) []string { return []string{} },
	}
}

func makeMap(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("invalid map call")
	}
	entries := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("map keys must be strings")
		}
		entries[key] = pairs[i+1]
	}
	return entries, nil
}

func reverse(list any) any {
	switch list := list.(type) {
	case []string:
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	case []KVPair:
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return list
}
