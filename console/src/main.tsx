import { render } from "preact";
import { App } from "./app";
import { objectMade } from "./model";
import { whenUploaded } from "./s3/transfers";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/uploads.css";
import "./styles/pages.css";
import "./styles/browse.css";

whenUploaded((upload) => objectMade(upload.bucket, upload.key, upload.size));

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
