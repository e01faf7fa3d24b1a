// Package command stands in for the published plugin of @pulumi/command where that cannot be had. It
// keeps the published contract: tokens, inputs, outputs, defaults, update rules and secrecy. The
// deprecated CopyFile is left out.
package command

import (
	"context"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/middleware/schema"
	"github.com/pulumi/pulumi/pkg/v3/resource/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"runner-fleet/local-cloud/engine/plugins/command/local"
	"runner-fleet/local-cloud/engine/plugins/command/remote"
)

// internalKey is reserved by the engine.
const internalKey = "__internal"

// Provider is the plugin's implementation.
func Provider() p.Provider {
	return infer.Provider(infer.Options{
		Metadata: schema.Metadata{
			DisplayName: "Command",
			Description: "Runs commands and copies files, locally or over SSH.",
		},
		Resources: []infer.InferredResource{
			infer.Resource(&local.Command{}),
			infer.Resource(&remote.Command{}),
			infer.Resource(&remote.CopyToRemote{}),
		},
		Functions: []infer.InferredFunction{infer.Function(&local.Run{})},
	})
}

// Serve answers the engine until it closes the connection.
func Serve(version string) error {
	makeServer := p.RawServer("command", version, Provider())
	return provider.MainContext(context.Background(), "command",
		func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
			server, err := makeServer(host)
			return quietServer{server}, err
		})
}

// quietServer keeps the library's bookkeeping to itself: its key is reserved by the engine, which warns of
// it at every run.
type quietServer struct {
	pulumirpc.ResourceProviderServer
}

func (s quietServer) CheckConfig(
	ctx context.Context, req *pulumirpc.CheckRequest,
) (*pulumirpc.CheckResponse, error) {
	response, err := s.ResourceProviderServer.CheckConfig(ctx, req)
	delete(response.GetInputs().GetFields(), internalKey)
	return response, err
}
