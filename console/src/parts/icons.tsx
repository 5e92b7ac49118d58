/** Drawings of 24 by 24, in the colour of the text beside them. */

const PATHS = {
  bucket: "M4 7c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zm0 0 2 11c.3 1.1 2.8 2 6 2s5.7-.9 6-2l2-11",
  folder: "M3 7a2 2 0 0 1 2-2h4l2 2.500h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  file: "M6 3h8l4 4v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm8 0v5h4",
  image: "M4 5h16v14H4zM4 16l4.5-4.500L13 16l3-3 4 4M15.5 9.500h.01",
  film: "M4 5h16v14H4zM10 9l5 3-5 3z",
  music: "M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zm10-2a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  text: "M6 3h8l4 4v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm2 8h6m-6 4h6",
  users: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm-6 9c0-3.3 2.7-6 6-6s6 2.7 6 6M16 4.500a3.5 3.5 0 0 1 0 6M18 14.500c1.8.9 3 2.8 3 5",
  disk: "M4 6c0-1.1 3.6-2 8-2s8 .9 8 2v12c0 1.1-3.6 2-8 2s-8-.9-8-2zm0 0c0 1.1 3.6 2 8 2s8-.9 8-2M4 12c0 1.1 3.6 2 8 2s8-.9 8-2",
  upload: "M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  download: "M12 4v12m0 0 5-5m-5 5-5-5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5m4-5v5",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  move: "M4 12h14m0 0-5-5m5 5-5 5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.700l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.700l1-1",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zm0-14v5l3 2",
  settings: "M4 7h10m4 0h2M4 17h2m4 0h10M16 9.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zm-8 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  refresh: "M20 11a8 8 0 1 0-.5 4M20 4v7h-7",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zm5-2 5 5",
  pause: "M9 5v14m6-14v14",
  play: "M7 5l12 7-12 7z",
  check: "M5 12.500l4.5 4.500L19 7.5",
  warning: "M12 4 2.5 20h19zm0 6v4m0 3h.01",
  key: "M8 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm4-4h9m-3 0v4",
  out: "M10 4H5v16h5M15 8l4 4-4 4m4-4H9",
  up: "M12 19V5m0 0-6 6m6-6 6 6",
  down: "M6 9l6 6 6-6",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  tag: "M4 4h8l8 8-8 8-8-8zM8.5 8.500h.01",
} as const;

export type IconName = keyof typeof PATHS;

/** Never alone: what it is for is said in words, beside it or in a label. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

const KINDS: readonly (readonly [RegExp, IconName])[] = [
  [/\.(jpe?g|png|gif|webp|avif|svg|bmp|ico|heic|tiff?)$/i, "image"],
  [/\.(mp4|webm|mkv|mov|avi|m4v|ogv)$/i, "film"],
  [/\.(mp3|flac|ogg|oga|opus|m4a|wav|aac)$/i, "music"],
  [/\.(txt|md|rst|json|xml|csv|log|ya?ml|toml|ini|py|js|ts|html?|css|sh|c|h|go|rs)$/i, "text"],
];

export const iconOf = (key: string): IconName => KINDS.find(([pattern]) => pattern.test(key))?.[1] ?? "file";
