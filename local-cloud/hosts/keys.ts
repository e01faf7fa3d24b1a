import { utils } from "ssh2";

/** An Ed25519 key pair in OpenSSH's form. ssh2 now and then writes one that it cannot read itself: that one is not taken. */
export function newKeyPair(): { readonly private: string; readonly public: string } {
  for (;;) {
    const pair = utils.generateKeyPairSync("ed25519");
    if (!(utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}
