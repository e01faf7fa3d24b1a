package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
)

// mapping describes a bridged provider in the terms of its npm SDK.
type mapping struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Config    object            `json:"config"`
	Resources map[string]object `json:"resources"`
	Functions map[string]object `json:"functions"`
}

// object maps property names to what they are.
type object map[string]property

// property is one property. Type is string, number, boolean, array, map, object or any.
type property struct {
	Type     string    `json:"type"`
	Input    bool      `json:"input"`
	Required bool      `json:"required"`
	Secret   bool      `json:"secret,omitempty"`
	Element  *property `json:"element,omitempty"`
	Fields   object    `json:"fields,omitempty"`
}

// printMapping writes how the plugin called name maps Terraform's names and types, as one JSON object.
func printMapping(w io.Writer, name string) error {
	bridged := map[string]func() tfbridge.ProviderInfo{
		"hcloud": hcloudInfo, "github": githubInfo, "random": randomInfo,
	}
	makeInfo, ok := bridged[name]
	if !ok {
		return fmt.Errorf("plugin %q is not bridged from Terraform, so it has no mapping", name)
	}
	info := makeInfo()
	m := mapping{
		Name: info.Name, Version: info.Version,
		Config:    describe(info.P.Schema(), info.Config),
		Resources: map[string]object{}, Functions: map[string]object{},
	}
	for tf, r := range info.Resources {
		if s, ok := info.P.ResourcesMap().GetOk(tf); ok {
			m.Resources[string(r.Tok)] = describe(s.Schema(), r.Fields)
		}
	}
	for tf, d := range info.DataSources {
		if s, ok := info.P.DataSourcesMap().GetOk(tf); ok {
			m.Functions[string(d.Tok)] = describe(s.Schema(), d.Fields)
		}
	}
	return json.NewEncoder(w).Encode(m)
}

func describe(schemas shim.SchemaMap, overrides map[string]*tfbridge.SchemaInfo) object {
	o := object{}
	schemas.Range(func(name string, s shim.Schema) bool {
		if s.Removed() == "" {
			o[tfbridge.TerraformToPulumiNameV2(name, schemas, overrides)] = describeProperty(s, overrides[name])
		}
		return true
	})
	return o
}

func describeProperty(s shim.Schema, override *tfbridge.SchemaInfo) property {
	p := describeType(s, override)
	p.Input = s.Required() || s.Optional()
	hasDefault := override != nil && override.Default != nil
	p.Required = s.Required() && !hasDefault
	p.Secret = s.Sensitive()
	if override != nil && override.Secret != nil {
		p.Secret = *override.Secret
	}
	return p
}

func describeType(s shim.Schema, override *tfbridge.SchemaInfo) property {
	var element *tfbridge.SchemaInfo
	var fields map[string]*tfbridge.SchemaInfo
	if override != nil {
		if override.Type != "" {
			return property{Type: string(override.Type)}
		}
		element, fields = override.Elem, override.Fields
	}
	switch s.Type() {
	case shim.TypeBool:
		return property{Type: "boolean"}
	case shim.TypeInt, shim.TypeFloat:
		return property{Type: "number"}
	case shim.TypeString:
		return property{Type: "string"}
	case shim.TypeList, shim.TypeSet, shim.TypeMap:
	default:
		return property{Type: "any"}
	}
	item := property{Type: "string"} // what an undeclared element is taken for
	switch e := s.Elem().(type) {
	case shim.Schema:
		item = describeType(e, element)
	case shim.Resource:
		if element != nil {
			fields = element.Fields
		}
		item = property{Type: "object", Fields: describe(e.Schema(), fields)}
	}
	switch {
	case s.Type() == shim.TypeMap && item.Type == "object":
		// A single nested object, which is how the shims present one.
		return item
	case s.Type() == shim.TypeMap:
		return property{Type: "map", Element: &item}
	case tfbridge.IsMaxItemsOne(s, override):
		return item
	default:
		return property{Type: "array", Element: &item}
	}
}
