/**
 * A look at an object.
 *
 * Nothing of it is made part of the page: images, sound and films come from the S3 API, which is another origin, and
 * texts are shown as texts. What a browser would run, as HTML, is downloaded only.
 */

import { useEffect, useState } from "preact/hooks";
import { bytes } from "../format";
import { isAbort, isAddressable, told } from "../s3/client";
import { SessionExpired } from "../s3/session";
import { beginning, link, type Head } from "../s3/objects";
import { session } from "../state";
import { Button, Failure, Spinner } from "./basics";

const TEXT_BYTES = 256 * 1024;
const IMAGE_BYTES = 25 * 1000 * 1000;
/** In seconds: a film may be watched for some hours. */
const GOOD_FOR = 12 * 3600;

type Kind = "image" | "video" | "audio" | "text" | "none";

const ENDINGS: readonly (readonly [RegExp, Kind])[] = [
  [/\.(jpe?g|png|gif|webp|avif|svg|bmp|ico)$/i, "image"],
  [/\.(mp4|webm|m4v|ogv|mov)$/i, "video"],
  [/\.(mp3|flac|ogg|oga|opus|m4a|wav|aac)$/i, "audio"],
  [/\.(txt|md|rst|json|xml|csv|log|ya?ml|toml|ini|cfg|conf|py|js|ts|css|sh|c|h|go|rs|java|sql|diff|patch)$/i, "text"],
];

export function kindOf(type: string, key: string): Kind {
  const plain = type.split(";")[0]?.trim().toLowerCase() ?? "";
  for (const kind of ["image", "video", "audio"] as const) if (plain.startsWith(`${kind}/`)) return kind;
  if (plain.startsWith("text/") || /[/+](json|xml|yaml|toml|javascript|x-sh)$/.test(plain)) return "text";
  if (plain === "" || plain === "application/octet-stream" || plain === "binary/octet-stream") {
    return ENDINGS.find(([pattern]) => pattern.test(key))?.[1] ?? "none";
  }
  return "none";
}

interface PreviewProps {
  readonly bucket: string;
  readonly name: string;
  readonly version: string | null;
  readonly head: Head;
}

export function Preview({ bucket, name, version, head }: PreviewProps) {
  const kind = kindOf(head.type, name);
  const [anyway, setAnyway] = useState(false);
  if (kind === "none" || !isAddressable(name)) return null;
  if (head.size === 0) return <p class="facts preview-none">It is empty.</p>;
  if (kind === "text") return <TextPreview bucket={bucket} name={name} version={version} head={head} />;
  if (kind === "image" && head.size > IMAGE_BYTES && !anyway) {
    return <p class="preview-none"><Button icon="image" onClick={() => setAnyway(true)}>{`Show the image of ${bytes(head.size)}`}</Button></p>;
  }
  return <Media key={head.etag} kind={kind} bucket={bucket} name={name} version={version} />;
}

function Media({ kind, bucket, name, version }: Omit<PreviewProps, "head"> & { kind: "image" | "video" | "audio" }) {
  const [broken, setBroken] = useState(false);
  const [url] = useState(() => {
    try {
      return link(session.value?.s3_url, bucket, name, version, GOOD_FOR, null);
    } catch {
      return "";
    }
  });
  const onError = (): void => setBroken(true);
  if (broken || url === "") return <p class="facts preview-none" role="status">The browser cannot show this one{session.value?.s3_url ? `, or cannot reach S3 at ${session.value.s3_url}` : ""}.</p>;
  return (
    <figure class={`preview ${kind}`}>
      {kind === "image" && <img src={url} alt={`Preview of ${name}`} referrerpolicy="no-referrer" onError={onError} />}
      {kind === "video" && <video src={url} controls preload="metadata" playsInline aria-label={`Film ${name}`} onError={onError} />}
      {kind === "audio" && <audio src={url} controls preload="metadata" aria-label={`Sound ${name}`} onError={onError} />}
    </figure>
  );
}

function TextPreview({ bucket, name, version, head }: PreviewProps) {
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    const controller = new AbortController();
    beginning(bucket, name, version, TEXT_BYTES, controller.signal).then(
      // A letter that the cut goes through is left out.
      (content) => setText(new TextDecoder("utf-8").decode(content, { stream: head.size > TEXT_BYTES })),
      (problem: unknown) => {
        if (!isAbort(problem) && !(problem instanceof SessionExpired)) setError(told(problem));
      },
    );
    return () => controller.abort();
  }, [head.etag]);
  if (error) return <Failure text={error} />;
  if (text === null) return <Spinner label="Loading the text" />;
  return (
    <figure class="preview text">
      <pre tabIndex={0} aria-label={`Beginning of ${name}`} dir="auto">{text}</pre>
      {head.size > TEXT_BYTES && <figcaption class="facts">The first {bytes(TEXT_BYTES)} of {bytes(head.size)}.</figcaption>}
    </figure>
  );
}
