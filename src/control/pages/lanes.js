// A picture of lanes: connections as rows, streams as marks, and what waits in a row of its own.

/**
 * @param {HTMLElement} list where the rows go
 * @param {{conn: number, alpn: string, subs: (number | null)[]}[]} lanes connections in the order of their first stream
 * @param {number} waiting streams that were asked for and aren't open
 */
export function draw(list, lanes, waiting) {
  const rows = lanes.map(({ conn, alpn, subs }, at) => ({
    key: `conn-${conn}`,
    name: `Connection ${at + 1}`,
    kind: alpn,
    count: subs.length,
  }));
  if (waiting > 0) rows.push({ key: "waiting", name: "Waiting", kind: "waiting", count: waiting });
  rows.forEach((row, at) => {
    let item = list.children[at];
    if (item?.dataset.key !== row.key) {
      const made = empty(row.key);
      item?.replaceWith(made) ?? list.append(made);
      item = made;
    }
    fill(item, row);
  });
  while (list.children.length > rows.length) list.lastElementChild.remove();
}

function empty(key) {
  const item = document.createElement("li");
  item.dataset.key = key;
  const [name, marks] = ["name", "marks"].map((part) => {
    const span = document.createElement("span");
    span.className = part;
    return span;
  });
  marks.ariaHidden = "true";
  item.append(name, marks);
  return item;
}

/** Marks are added and taken at the end, so that those which stay don't move. */
function fill(item, { name, kind, count }) {
  const [label, marks] = item.children;
  const text = `${name}: ${count}`;
  if (label.textContent !== text) label.textContent = text;
  item.dataset.kind = kind;
  while (marks.children.length > count) marks.lastElementChild.remove();
  if (marks.children.length < count) {
    const more = document.createDocumentFragment();
    for (let at = marks.children.length; at < count; at += 1) more.append(document.createElement("i"));
    marks.append(more);
  }
}
