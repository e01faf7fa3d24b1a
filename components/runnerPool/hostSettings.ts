import type { PoolSettings } from "../config/schema";
import { runnerImage } from "../pins/pins";
import type { Place } from "./placement";

/** What a pool's settings say about one of its hosts, in the terms of `RunnerHost` and of its stack. */
export function hostSettings(settings: PoolSettings, { serverType, location }: Place) {
  return {
    serverType,
    location,
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
