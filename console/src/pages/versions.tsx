/** All versions and delete markers below a prefix. */

import { useEffect, useState } from "preact/hooks";
import { counted } from "../format";
import { Button, Empty, Failure, Spinner } from "../parts/basics";
import { Crumbs, PageHead } from "../parts/head";
import { useLoaded, useTitle } from "../parts/hooks";
import { PurgeDialog } from "../parts/purge";
import { VersionList } from "../parts/versionlist";
import { hrefOf } from "../route";
import { getVersioning } from "../s3/buckets";
import { isAbort, told } from "../s3/client";
import { listVersions, type VersionEntry, type VersionPage } from "../s3/listing";

export interface Versions {
  readonly versions: readonly VersionEntry[];
  readonly next: VersionPage["next"];
  readonly loading: boolean;
  readonly error: string;
  readonly more: () => void;
  readonly reload: () => void;
}

/** @param exact whether only those of the key `prefix` itself are meant. */
export function useVersions(bucket: string, prefix: string, exact: boolean): Versions {
  const [versions, setVersions] = useState<readonly VersionEntry[]>([]);
  const [next, setNext] = useState<VersionPage["next"]>(undefined);
  const [loading, setLoading] = useState(false);
  const [error, setError] = useState("");
  const load = async (from: VersionPage["next"], signal?: AbortSignal): Promise<void> => {
    setLoading(true);
    setError("");
    try {
      const page = await listVersions(bucket, prefix, from, signal);
      const mine = exact ? page.versions.filter((each) => each.key === prefix) : page.versions;
      setVersions((before) => (from === undefined ? mine : [...before, ...mine]));
      // Those of a key come first among those that begin with it.
      setNext(exact && mine.length < page.versions.length ? undefined : page.next);
    } catch (problem) {
      if (!isAbort(problem)) setError(told(problem));
    } finally {
      if (signal?.aborted !== true) setLoading(false);
    }
  };
  useEffect(() => {
    const controller = new AbortController();
    void load(undefined, controller.signal);
    return () => controller.abort();
  }, [bucket, prefix]);
  return { versions, next, loading, error, more: () => void load(next), reload: () => void load(undefined) };
}

export function VersionsPage({ bucket, prefix }: { bucket: string; prefix: string }) {
  useTitle(`Versions in ${bucket}/${prefix}`);
  const { versions, next, loading, error, more, reload } = useVersions(bucket, prefix, false);
  const [purging, setPurging] = useState(false);
  const versioning = useLoaded((signal) => getVersioning(bucket, signal), [bucket]);
  return (
    <div class="page">
      <Crumbs bucket={bucket} path={prefix} page="versions" />
      <PageHead title="Versions" facts={versions.length > 0 && `${counted(versions.length, "version")}${next === undefined ? "" : " so far"}`}>
        {versions.length > 0 && <Button icon="trash" onClick={() => setPurging(true)}>Remove versions</Button>}
        <a class="button" href={hrefOf({ page: "browse", bucket, prefix })}>Back to the objects</a>
      </PageHead>
      {versioning.value === "Off" && (
        <p class="note">
          This bucket keeps no versions. <a href={hrefOf({ page: "settings", bucket, section: "general" })}>They can be switched on.</a>
        </p>
      )}
      {error && <Failure text={error} again={reload} />}
      {versions.length > 0 && <VersionList bucket={bucket} versions={versions} prefix={prefix} onChanged={reload} />}
      {versions.length === 0 && !loading && !error && <Empty icon="clock" title="Nothing here" />}
      {loading && <Spinner label="Loading versions" />}
      {next !== undefined && !loading && <Button onClick={more}>Load more</Button>}
      {purging && <PurgeDialog bucket={bucket} prefix={prefix} onClose={() => setPurging(false)} onDone={reload} />}
    </div>
  );
}
