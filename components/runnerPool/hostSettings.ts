import type { PoolSettings } from "../config/schema";
import { runnerImage } from "../pins/pins";

/** What a pool's settings say about each of its hosts, in the terms of `RunnerHost` and of its stack. */
export function hostSettings(settings: PoolSettings) {
  return {
    serverType: settings.serverType,
    location: settings.location,
    packages: settings.cloudInit.packages,
    runcmd: settings.cloudInit.runcmd,
    runners: settings.runnersPerHost,
    labels: settings.labels,
    image: settings.runner.reference ?? runnerImage(settings.runner.image, settings.runner.version),
    runnerImage: settings.runner.image,
    dockerSocket: settings.dockerSocket,
    buildCachePercent: settings.buildCache.maxUsedPercent,
    drainTimeoutSeconds: settings.drainTimeoutSeconds,
  };
}
