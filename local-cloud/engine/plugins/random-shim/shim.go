// Package shim re-exports the random provider, which its module keeps internal.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	random "github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// New returns the real Terraform provider.
func New() provider.Provider { return random.New() }
