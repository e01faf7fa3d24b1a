/** What Hetzner offers: locations, server types, images and prices. Prices are net EUR. */

/** As the API shows it. */
export interface Location {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly country: string;
  readonly city: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly network_zone: string;
}

function location(
  id: number,
  name: string,
  network_zone: string,
  description: string,
  country: string,
  city: string,
  latitude: number,
  longitude: number,
): Location {
  return { id, name, network_zone, description, country, city, latitude, longitude };
}

export const locations: readonly Location[] = [
  location(
    1,
    "fsn1",
    "eu-central",
    "Falkenstein DC Park 1",
    "DE",
    "Falkenstein",
    50.47612,
    12.370071,
  ),
  location(2, "nbg1", "eu-central", "Nuremberg DC Park 1", "DE", "Nuremberg", 49.452102, 11.076665),
  location(3, "hel1", "eu-central", "Helsinki DC Park 1", "FI", "Helsinki", 60.169855, 24.938379),
  location(4, "ash", "us-east", "Ashburn, VA", "US", "Ashburn, VA", 39.045821, -77.487073),
  location(5, "hil", "us-west", "Hillsboro, OR", "US", "Hillsboro, OR", 45.54222, -122.951924),
  location(6, "sin", "ap-southeast", "Singapore", "SG", "Singapore", 1.283333, 103.833333),
];

/** The data centers, which the metadata service still names as availability zones. */
export const availabilityZones: Readonly<Record<string, string>> = {
  fsn1: "fsn1-dc14",
  nbg1: "nbg1-dc3",
  hel1: "hel1-dc2",
  ash: "ash-dc1",
  hil: "hil-dc1",
  sin: "sin-dc1",
};

export const networkZones: readonly string[] = [
  ...new Set(locations.map((entry) => entry.network_zone)),
];

export type Architecture = "arm" | "x86";

export interface ServerType {
  readonly id: number;
  readonly name: string;
  readonly category: string;
  readonly cores: number;
  /** GB */
  readonly memory: number;
  /** GB */
  readonly disk: number;
  readonly architecture: Architecture;
  /** Net EUR a month by location, without a public IPv4; a type is offered where it has a price. */
  readonly monthly: Readonly<Record<string, number>>;
}

const europe = ["fsn1", "nbg1", "hel1"];
const everywhere = locations.map((entry) => entry.name);

function serverType(
  id: number,
  name: string,
  category: string,
  architecture: Architecture,
  [cores, memory, disk]: readonly [number, number, number],
  monthly: number,
  offeredIn: readonly string[],
): ServerType {
  return {
    id,
    name,
    category,
    cores,
    memory,
    disk,
    architecture,
    monthly: Object.fromEntries(offeredIn.map((place) => [place, monthly])),
  };
}

export const serverTypes: readonly ServerType[] = [
  serverType(45, "cax11", "Cost-optimized", "arm", [2, 4, 40], 5.99, europe),
  serverType(93, "cax21", "Cost-optimized", "arm", [4, 8, 80], 10.49, europe),
  serverType(94, "cax31", "Cost-optimized", "arm", [8, 16, 160], 20.99, europe),
  serverType(95, "cax41", "Cost-optimized", "arm", [16, 32, 320], 40.99, europe),
  serverType(109, "cpx22", "Regular Purpose", "x86", [2, 4, 80], 7.99, everywhere),
  serverType(110, "cpx32", "Regular Purpose", "x86", [4, 8, 160], 13.99, everywhere),
  serverType(114, "cx23", "Cost-optimized", "x86", [2, 4, 40], 4.99, europe),
  serverType(115, "cx33", "Cost-optimized", "x86", [4, 8, 80], 8.49, europe),
];

export interface Image {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly os_flavor: string;
  readonly os_version: string;
  readonly architecture: Architecture;
  /** ISO date of publication. */
  readonly created: string;
}

function image(
  id: number,
  flavor: string,
  version: string,
  architecture: Architecture,
  created: string,
): Image {
  const title = flavor.charAt(0).toUpperCase() + flavor.slice(1);
  return {
    id,
    name: `${flavor}-${version}`,
    description: `${title} ${version}`,
    os_flavor: flavor,
    os_version: version,
    architecture,
    created,
  };
}

export const images: readonly Image[] = [
  image(67794396, "ubuntu", "22.04", "x86", "2022-04-21T13:32:38+00:00"),
  image(103908130, "ubuntu", "22.04", "arm", "2023-03-20T10:10:04+00:00"),
  image(114690387, "debian", "12", "x86", "2023-06-13T06:00:36+00:00"),
  image(114690389, "debian", "12", "arm", "2023-06-13T06:00:37+00:00"),
  image(161547269, "ubuntu", "24.04", "x86", "2024-04-25T13:26:27+00:00"),
  image(161547270, "ubuntu", "24.04", "arm", "2024-04-25T13:26:51+00:00"),
  image(310557660, "debian", "13", "x86", "2025-08-11T08:00:00+00:00"),
  image(310557661, "debian", "13", "arm", "2025-08-11T08:00:01+00:00"),
];

const vatPercent = 19;
/** A month is billed at most as this many hours. */
const cappedHours = 624;
const includedTraffic = 20 * 2 ** 40;

/** Amounts as the API writes them; a net price has at most four decimals. */
function price(net: number): { net: string; gross: string } {
  const tenThousandths = Math.round(net * 10_000);
  const grossMillionths = tenThousandths * (100 + vatPercent);
  return {
    net: (tenThousandths / 10_000).toFixed(10),
    gross: `${(grossMillionths / 1_000_000).toFixed(6)}${"0".repeat(10)}`,
  };
}

/** Prices and stock as they are now; both can be changed while the local cloud runs. */
export class Offers {
  private readonly prices = new Map<string, number>();
  private readonly soldOut = new Set<string>();

  reset(): void {
    this.prices.clear();
    this.soldOut.clear();
  }

  private key(type: string, place: string): string {
    if (this.monthly(type, place) === undefined)
      throw new Error(`server type ${type} is not offered in ${place}`);
    return `${type}@${place}`;
  }

  setStock(type: string, place: string, available: boolean): void {
    const key = this.key(type, place);
    if (available) this.soldOut.delete(key);
    else this.soldOut.add(key);
  }

  setPrice(type: string, place: string, monthlyNet: number): void {
    this.prices.set(this.key(type, place), monthlyNet);
  }

  isAvailable(type: string, place: string): boolean {
    return this.monthly(type, place) !== undefined && !this.soldOut.has(`${type}@${place}`);
  }

  /** Net EUR a month, `undefined` where the type is not offered. */
  monthly(type: string, place: string): number | undefined {
    const listed = serverTypes.find((entry) => entry.name === type)?.monthly[place];
    return listed === undefined ? undefined : (this.prices.get(`${type}@${place}`) ?? listed);
  }

  private priceList(type: ServerType) {
    return Object.keys(type.monthly).map((place) => {
      const monthly = this.monthly(type.name, place) ?? 0;
      return {
        location: place,
        price_hourly: price(monthly / cappedHours),
        price_monthly: price(monthly),
        included_traffic: includedTraffic,
        price_per_tb_traffic: price(1),
      };
    });
  }

  serverType(type: ServerType) {
    return {
      id: type.id,
      name: type.name,
      description: type.name.toUpperCase(),
      category: type.category,
      cores: type.cores,
      memory: type.memory,
      disk: type.disk,
      storage_type: "local",
      cpu_type: "shared",
      architecture: type.architecture,
      deprecated: false,
      deprecation: null,
      prices: this.priceList(type),
      locations: locations
        .filter((entry) => entry.name in type.monthly)
        .map((entry) => ({
          id: entry.id,
          name: entry.name,
          available: this.isAvailable(type.name, entry.name),
          recommended: this.isAvailable(type.name, entry.name),
          deprecation: null,
        })),
    };
  }

  pricing() {
    const addressPrices = (monthly: number) =>
      everywhere.map((place) => ({
        location: place,
        price_hourly: price(monthly / cappedHours),
        price_monthly: price(monthly),
      }));
    return {
      currency: "EUR",
      vat_rate: vatPercent.toFixed(6),
      image: { price_per_gb_month: price(0.011) },
      volume: { price_per_gb_month: price(0.044) },
      server_backup: { percentage: "20.0000000000" },
      server_types: serverTypes.map((type) => ({
        id: type.id,
        name: type.name,
        prices: this.priceList(type),
      })),
      primary_ips: [
        { type: "ipv4", prices: addressPrices(0.5) },
        { type: "ipv6", prices: addressPrices(0) },
      ],
      floating_ip: { price_monthly: price(3) },
      floating_ips: [
        { type: "ipv4", prices: addressPrices(3) },
        { type: "ipv6", prices: addressPrices(1) },
      ],
      load_balancer_types: [],
    };
  }
}

export function findLocation(name: string): Location {
  const found = locations.find((entry) => entry.name === name);
  if (!found) throw new Error(`no location ${name}`);
  return found;
}

export function renderImage(entry: Image) {
  return {
    id: entry.id,
    type: "system",
    status: "available",
    name: entry.name,
    description: entry.description,
    image_size: null,
    disk_size: 5,
    created: entry.created,
    created_from: null,
    bound_to: null,
    os_flavor: entry.os_flavor,
    os_version: entry.os_version,
    architecture: entry.architecture,
    rapid_deploy: true,
    protection: { delete: false },
    deprecated: null,
    deleted: null,
    labels: {},
  };
}
