package main

import (
	"context"
	"fmt"

	"github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	"github.com/integrations/terraform-provider-github/v6/github"
	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	random "github.com/terraform-providers/terraform-provider-random/shim"
)

const (
	module = "index"
	// Autonames are "<logical name>-<7 hex digits>", as the published packages make them.
	autonameLimit     = 255
	autonameSeparator = "-"
)

// emptySchema stands for the package schema, which only code generation reads.
func emptySchema(name, version string) []byte {
	return fmt.Appendf(nil, `{"name":%q,"version":%q}`, name, version)
}

// hcloudInfo maps hetznercloud/terraform-provider-hcloud to @pulumi/hcloud.
func hcloudInfo() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P: pf.MuxShimWithPF(context.Background(),
			shimv2.NewProvider(hcloud.Provider()), hcloud.NewPluginProvider()),
		Name:         "hcloud",
		Version:      hcloudVersion,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"hcloud_server": {PreCheckCallback: defaultAliasIPs},
		},
	}
	stringIDs(&info)
	info.MustComputeTokens(tokens.SingleModule("hcloud_", module, tokens.MakeStandard("hcloud")))
	info.SetAutonaming(autonameLimit, autonameSeparator)
	return info
}

// stringIDs declares IDs that Terraform types as numbers to be strings, which every Pulumi ID is.
func stringIDs(info *tfbridge.ProviderInfo) {
	info.P.ResourcesMap().Range(func(name string, r shim.Resource) bool {
		id, ok := r.Schema().GetOk("id")
		if !ok || id.Type() == shim.TypeString {
			return true
		}
		if info.Resources[name] == nil {
			info.Resources[name] = &tfbridge.ResourceInfo{}
		}
		info.Resources[name].Fields = map[string]*tfbridge.SchemaInfo{"id": {Type: "string"}}
		return true
	})
}

// defaultAliasIPs gives each inline network of a server an empty aliasIps: the provider reads back an
// empty list and would show a change on every update.
func defaultAliasIPs(
	_ context.Context, config, _ resource.PropertyMap,
) (resource.PropertyMap, error) {
	networks, ok := config["networks"]
	if !ok || !networks.IsArray() {
		return config, nil
	}
	for _, network := range networks.ArrayValue() {
		if !network.IsObject() {
			continue
		}
		if _, set := network.ObjectValue()["aliasIps"]; !set {
			network.ObjectValue()["aliasIps"] = resource.NewArrayProperty([]resource.PropertyValue{})
		}
	}
	return config, nil
}

// serveHcloud serves the provider's two halves, on the SDKv2 and on the plugin framework, as one.
func serveHcloud() error {
	info := hcloudInfo()
	mux, ok := info.P.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	})
	if !ok {
		return fmt.Errorf("the hcloud provider is %T, which does not say which half serves a resource", info.P)
	}
	dispatch, err := mux.ResolveDispatch(&info)
	if err != nil {
		return err
	}
	if err := metadata.Set(info.GetMetadata(), "mux", dispatch); err != nil {
		return err
	}
	pf.MainWithMuxer(context.Background(), info.Name, info, emptySchema(info.Name, info.Version))
	return nil
}

// githubInfo maps integrations/terraform-provider-github to @pulumi/github.
func githubInfo() tfbridge.ProviderInfo {
	deleteFirst := func() *tfbridge.ResourceInfo { return &tfbridge.ResourceInfo{DeleteBeforeReplace: true} }
	replaceOnSelection := func() *tfbridge.ResourceInfo {
		return &tfbridge.ResourceInfo{Fields: map[string]*tfbridge.SchemaInfo{
			"selected_repository_ids": {ForceNew: tfbridge.True()},
		}}
	}
	info := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(github.Provider()),
		Name:         "github",
		Version:      githubVersion,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Config: map[string]*tfbridge.SchemaInfo{
			"base_url": {Default: &tfbridge.DefaultInfo{
				EnvVars: []string{"GITHUB_BASE_URL"},
				Value:   "https://api.github.com/",
			}},
			"token": {
				Default: &tfbridge.DefaultInfo{EnvVars: []string{"GITHUB_TOKEN"}},
				Secret:  tfbridge.True(),
			},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"github_actions_environment_secret":     deleteFirst(),
			"github_repository_autolink_reference":  deleteFirst(),
			"github_repository_collaborator":        deleteFirst(),
			"github_repository_deploy_key":          deleteFirst(),
			"github_actions_organization_secret":    replaceOnSelection(),
			"github_codespaces_organization_secret": replaceOnSelection(),
			"github_dependabot_organization_secret": replaceOnSelection(),
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"github_app": {Tok: "github:index/getGithubApp:getGithubApp"},
		},
		EnableZeroDefaultSchemaVersion: true,
		EnableAccurateBridgePreview:    true,
		EnableRawStateDelta:            true,
	}
	info.MustComputeTokens(tokens.SingleModule("github_", module, tokens.MakeStandard("github")))
	info.SetAutonaming(autonameLimit, autonameSeparator)
	return info
}

func serveGithub() {
	info := githubInfo()
	tfbridge.Main(info.Name, info.Version, info, emptySchema(info.Name, info.Version))
}

// randomInfo maps hashicorp/terraform-provider-random to @pulumi/random.
func randomInfo() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:            pf.ShimProvider(random.New()),
		Name:         "random",
		Version:      randomVersion,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			// A resource ID cannot be secret, although the bytes are.
			"random_bytes": {ComputeID: idFromBase64},
		},
		EnableAccurateBridgePreview: true,
		EnableRawStateDelta:         true,
	}
	info.MustComputeTokens(tokens.SingleModule("random_", module, func(module, name string) (string, error) {
		return tokens.MakeStandard("random")(module, "Random"+name)
	}))
	return info
}

func idFromBase64(_ context.Context, state resource.PropertyMap) (resource.ID, error) {
	value := state["base64"]
	for value.IsSecret() {
		value = value.SecretValue().Element
	}
	if !value.IsString() {
		return "", fmt.Errorf("random_bytes: property base64 is %s, expected a string", value.TypeString())
	}
	return resource.ID(value.StringValue()), nil
}

func serveRandom() {
	info := randomInfo()
	pf.Main(context.Background(), info.Name, info,
		pf.ProviderMetadata{PackageSchema: emptySchema(info.Name, info.Version)})
}
