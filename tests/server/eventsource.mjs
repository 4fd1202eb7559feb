// Reads an event stream with npm's `eventsource` and says what it is told, a line of JSON each.
//
//     NODE_PATH=… NODE_EXTRA_CA_CERTS=ca.pem eventsource.mjs https://localhost:8441/feeds/news/sse

import { createRequire } from "node:module";

const { EventSource } = createRequire(`${process.env.NODE_PATH}/`)("eventsource");
const say = (what) => console.log(JSON.stringify(what));

const source = new EventSource(process.argv[2]);
source.addEventListener("open", () => say("open"));
source.addEventListener("error", () => say("error"));
source.addEventListener("message", ({ lastEventId, data }) => say({ id: lastEventId, data }));
