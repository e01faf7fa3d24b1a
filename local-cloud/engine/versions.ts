/** The Pulumi CLI, without the leading "v". */
export const CLI_VERSION = "3.259.0";

/** The resource plugins, at the versions of their npm SDKs. */
export const PLUGIN_VERSIONS = {
  hcloud: "1.41.0",
  github: "6.12.2",
  random: "4.21.2",
  command: "1.2.1",
} as const;

export type PluginName = keyof typeof PLUGIN_VERSIONS;

export const PLUGIN_NAMES = Object.keys(PLUGIN_VERSIONS) as PluginName[];

/** The executables that a complete engine has. */
export const EXECUTABLES = [
  "pulumi",
  "pulumi-language-nodejs",
  ...PLUGIN_NAMES.map((name) => `pulumi-resource-${name}`),
];

/** Where Pulumi keeps an installed plugin, below PULUMI_HOME. */
export function pluginFolder(name: PluginName): string {
  return `plugins/resource-${name}-v${PLUGIN_VERSIONS[name]}`;
}
