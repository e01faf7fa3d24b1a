import { z } from "zod";
import { type ApiTarget, HostError, request } from "./request";

const server = z.object({ server: z.object({ status: z.string() }) });

/** Status of a server at Hetzner, such as running, stopping or off; "absent" when there is none of that id. */
export async function serverStatus(hetzner: ApiTarget, id: string): Promise<string> {
  const { status, body } = await request(hetzner, "GET", `/servers/${id}`, [200, 404]);
  if (status === 404) return "absent";
  const parsed = server.safeParse(body);
  if (!parsed.success) throw new HostError(`Hetzner answered GET /servers/${id} without a server.`);
  return parsed.data.server.status;
}

/** Whether nothing can run on a server of this status. */
export function isDown(status: string): boolean {
  return status === "off" || status === "absent";
}

/** Presses the server's power button; its system then shuts down, or not. */
export async function pressPowerButton(hetzner: ApiTarget, id: string): Promise<void> {
  await request(hetzner, "POST", `/servers/${id}/actions/shutdown`, [200, 201, 404]);
}
