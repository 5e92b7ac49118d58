/** Downloads: by links to the S3 API, so that the browser saves as the bytes come, whatever the size. */

import type { Entry } from "../model";
import { fileName, link } from "../s3/objects";
import { overview } from "../s3/transfers";
import { done, failed, session } from "../state";

/** In seconds: a download has begun by then; it may take as long as it likes. */
const GOOD_FOR = 3600;
/** Browsers take two at the same moment for one. */
const BETWEEN_MS = 600;
const MOST = 50;

export function saveOne(bucket: string, key: string, version: string | null): void {
  try {
    const name = fileName(key);
    const anchor = document.createElement("a");
    anchor.href = link(session.value?.s3_url, bucket, key, version, GOOD_FOR, name);
    anchor.download = name;
    // Leaving the page, which a link to a file seems to be at first, would be asked about while something is uploaded.
    if (overview.value.active > 0) anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
  } catch (error) {
    failed(error);
  }
}

export function save(bucket: string, chosen: readonly Entry[]): void {
  const objects = chosen.filter((entry) => entry.kind === "object");
  if (objects.length < chosen.length) failed(new Error("Folders cannot be downloaded as a whole: open them, or use a client such as rclone."));
  if (objects.length > MOST) {
    failed(new Error(`At most ${MOST} at once: for more, a client such as rclone is the better way.`));
    return;
  }
  objects.forEach((entry, i) => setTimeout(() => saveOne(bucket, entry.key, null), i * BETWEEN_MS));
  if (objects.length > 1) done(`Downloading ${objects.length} files. The browser may ask whether this page may do that.`);
}
