import { describe, expect, test } from "vitest";
import { hex, percent } from "../src/s3/bytes";
import { EMPTY_SHA256, amzDate, canonicalQuery, deriveKey, presign, signHeaders, type Signer } from "../src/s3/sigv4";

// From "Authenticating Requests: Using the Authorization Header" and "... Using Query Parameters" of the S3 API Reference.
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TIME = new Date("2013-05-24T00:00:00Z");
const HOST = "examplebucket.s3.amazonaws.com";
const SIGNER: Signer = {
  accessKey: "AKIAIOSFODNN7EXAMPLE",
  date: "20130524",
  region: "us-east-1",
  key: deriveKey(SECRET, "20130524", "us-east-1"),
};

const signatureOf = (headers: Record<string, string>): string => headers["authorization"]!.split("Signature=")[1]!;

describe("what AWS publishes", () => {
  test("a GET with a range", () => {
    const headers = signHeaders(SIGNER, { method: "GET", host: HOST, path: "/test.txt", headers: { range: "bytes=0-9" } }, TIME, EMPTY_SHA256);
    expect(signatureOf(headers)).toBe("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  });

  test("a PUT with a dollar sign in its key", () => {
    const headers = signHeaders(
      SIGNER,
      {
        method: "PUT",
        host: HOST,
        path: "/test$file.text",
        headers: { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
      },
      TIME,
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    );
    expect(signatureOf(headers)).toBe("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  });

  test("a subresource", () => {
    const headers = signHeaders(SIGNER, { method: "GET", host: HOST, path: "/", query: [["lifecycle", ""]] }, TIME, EMPTY_SHA256);
    expect(signatureOf(headers)).toBe("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  });

  test("a listing", () => {
    const query = [["max-keys", "2"], ["prefix", "J"]] as const;
    const headers = signHeaders(SIGNER, { method: "GET", host: HOST, path: "/", query }, TIME, EMPTY_SHA256);
    expect(signatureOf(headers)).toBe("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  });

  test("a link", () => {
    const url = presign(SIGNER, `https://${HOST}`, { method: "GET", path: "/test.txt" }, TIME, 86400);
    expect(url).toBe(
      "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" +
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    );
  });
});

test("a link is never good for more than seven days", () => {
  const url = presign(SIGNER, "http://nas:9000", { method: "GET", path: "/b/k" }, TIME, 1e9);
  expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe("604800");
});

test("only the unreserved characters go unescaped", () => {
  expect(percent("aZ09-_.~ !'()*/?#%+é😀")).toBe("aZ09-_.~%20%21%27%28%29%2A%2F%3F%23%25%2B%C3%A9%F0%9F%98%80");
  expect(percent("/a//b/%2F", "/")).toBe("/a//b/%252F");
});

test("a query is in order of its bytes once encoded", () => {
  expect(canonicalQuery([["b", ""], ["a", "2"], ["a", "1"], ["é", "x"], ["Z", "/"]])).toBe("%C3%A9=x&Z=%2F&a=1&a=2&b=");
});

test("dates have neither punctuation nor fractions", () => {
  expect(amzDate(new Date("2026-12-01T02:03:04.567Z"))).toBe("20261201T020304Z");
});

test("a key is made for one day and region", () => {
  const one = hex(deriveKey("secret", "20261201", "us-east-1"));
  expect(one).toHaveLength(64);
  expect(one).not.toBe(hex(deriveKey("secret", "20261202", "us-east-1")));
  expect(one).not.toBe(hex(deriveKey("secret", "20261201", "eu-central-1")));
});
