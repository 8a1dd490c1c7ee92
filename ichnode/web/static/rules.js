// Files and whole folders can be dropped; without a script the file chooser does.
const drop = document.getElementById("drop");
const input = document.getElementById("files");
const chosen = document.getElementById("chosen");

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return (await Promise.all(found.map(filesOf))).flat();
    found.push(...part);
  }
}
// Beside the place for it a dropped file would take the page's place.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
}
drop.addEventListener("drop", async (event) => {
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const carried = new DataTransfer();
  for (const file of (await Promise.all(entries.map(filesOf))).flat()) carried.items.add(file);
  input.files = carried.files;
  input.dispatchEvent(new Event("change"));
  input.form.requestSubmit();
});
input.addEventListener("change", () => {
  chosen.textContent = input.files.length === 1 ? "1 file" : `${input.files.length} files`;
});
