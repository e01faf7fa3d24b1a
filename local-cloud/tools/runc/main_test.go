package main

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestBundleOf(t *testing.T) {
	for _, test := range []struct {
		args   []string
		bundle string
		ok     bool
	}{
		{[]string{"--root", "/r", "create", "--bundle", "/b", "--pid-file", "p", "id"}, "/b", true},
		{[]string{"run", "-b=/b", "id"}, "/b", true},
		{[]string{"run", "id"}, ".", true},
		{[]string{"--root", "/r", "delete", "id"}, "", false},
	} {
		bundle, ok := bundleOf(test.args)
		if bundle != test.bundle || ok != test.ok {
			t.Errorf("%v: got %q %v", test.args, bundle, ok)
		}
	}
}

func TestWithout(t *testing.T) {
	const config = `{"ociVersion":"1.0","process":{"args":["sh"],"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"effective":["CAP_CHOWN"]}}}`
	held := ^uint64(0)
	if got, err := without([]byte(config), held); got != nil || err != nil {
		t.Errorf("all held: got %s, %v", got, err)
	}
	got, err := without([]byte(config), held&^(1<<24))
	if err != nil {
		t.Fatal(err)
	}
	var has, want any
	_ = json.Unmarshal(got, &has)
	_ = json.Unmarshal([]byte(`{"ociVersion":"1.0","process":{"args":["sh"],"capabilities":{"bounding":["CAP_CHOWN"],"effective":["CAP_CHOWN"]}}}`), &want)
	if !reflect.DeepEqual(has, want) {
		t.Errorf("got %s", got)
	}
	if _, err := without([]byte(`{"process":1}`), held); err == nil {
		t.Error("a process that is none is accepted")
	}
}
