/** Bytes and how they are written: UTF-8, hex, base64, and the percent-encoding of SigV4. */

const encoder = new TextEncoder();

export type Bytes = Uint8Array<ArrayBuffer>;

export const utf8 = (text: string): Bytes => encoder.encode(text) as Bytes;

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

export function unhex(text: string): Bytes {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Everything but the unreserved characters of RFC 3986 is escaped, as SigV4 wants it.  `keep` may name more. */
export function percent(text: string, keep = ""): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]|%2F/g,
    (escape) => {
      if (escape === "%2F") return keep.includes("/") ? "/" : escape;
      return "%" + escape.charCodeAt(0).toString(16).toUpperCase();
    },
  );
}
