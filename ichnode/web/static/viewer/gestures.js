// Wheel, mouse, touch and keys on the picture. What they do is told by the verbs of the viewer.

const SLICE_PX = 12, WHEEL_PX = 60;

/** Mouse: left drags by the chosen tool, middle moves, right zooms. Touch: one finger scrolls or uses the tool, two zoom. */
export function listen(stage, viewer) {
  const points = new Map();
  let button = 0, rest = 0, wheeled = 0;

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) {
      viewer.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
      return;
    }
    // A notch of a wheel is one slice, however far the system says it is; a touch pad sends many small steps.
    const notch = event.deltaMode !== 0 || Math.abs(event.deltaY) >= WHEEL_PX;
    wheeled = notch ? Math.sign(event.deltaY) * WHEEL_PX : wheeled + event.deltaY;
    const whole = Math.trunc(wheeled / WHEEL_PX);
    wheeled -= whole * WHEEL_PX;
    if (whole) viewer.scroll(whole);
  }, { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    points.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    button = event.button;
    rest = 0;
    if (event.button === 1) event.preventDefault();
  });
  const lift = (event) => points.delete(event.pointerId);
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", () => viewer.fit());
  stage.addEventListener("pointerleave", () => viewer.point(null));

  stage.addEventListener("pointermove", (event) => {
    const before = points.get(event.pointerId);
    viewer.point(event.offsetX, event.offsetY);
    if (!before) return;
    const now = { x: event.offsetX, y: event.offsetY };
    const dx = now.x - before.x, dy = now.y - before.y;
    if (points.size === 2) {
      const other = [...points].find(([id]) => id !== event.pointerId)[1];
      const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) || 1;
      viewer.move(dx / 2, dy / 2);
      viewer.zoom(apart(now, other) / apart(before, other), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else if (button === 1 || (button === 0 && viewer.tool === "move")) {
      viewer.move(dx, dy);
    } else if (button === 2) {
      viewer.zoom(Math.exp(-dy / 150));
    } else if (viewer.tool === "window") {
      viewer.changeWindow(dy, dx);
    } else {
      rest += dy / SLICE_PX;
      const whole = Math.trunc(rest);
      rest -= whole;
      if (whole) viewer.scroll(whole);
    }
    points.set(event.pointerId, now);
  });
}

const STEP = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/** Keys work while the focus is in the viewer, but not where one types or moves a slider. */
export function listenToKeys(section, viewer) {
  section.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea, dialog")) return;
    const step = STEP[event.key];
    if (step && event.target.matches("input[type=radio]")) return;
    const done = step ? arrow(viewer, step, event.shiftKey) : press(viewer, event.key);
    if (done !== false) event.preventDefault();
  });
}

function arrow(viewer, [dx, dy], far) {
  if (viewer.probing) viewer.moveProbe(dx * (far ? 10 : 1), dy * (far ? 10 : 1));
  else if (far) viewer.move(-dx * 40, -dy * 40);
  else viewer.scroll(dx + dy);
}

function press(viewer, key) {
  switch (key) {
    case "PageUp": return viewer.scroll(-10);
    case "PageDown": return viewer.scroll(10);
    case "Home": return viewer.go(0);
    case "End": return viewer.go(viewer.count - 1);
    case "1": return viewer.preset("brain");
    case "2": return viewer.preset("subdural");
    case "3": return viewer.preset("bone");
    case "4": return viewer.preset("stroke");
    case "k": return viewer.nextKey(1);
    case "K": return viewer.nextKey(-1);
    case "h": case "H": return viewer.switchHeat();
    case "+": case "=": return viewer.zoom(1.25);
    case "-": return viewer.zoom(0.8);
    case "0": return viewer.fit();
    case "9": return viewer.oneToOne();
    case "x": case "X": return viewer.switchProbe();
    case "w": case "W": return viewer.useTool("window");
    case "m": case "M": return viewer.useTool("move");
    case "s": case "S": return viewer.useTool("scroll");
    case "?": return viewer.help();
    default: return false;
  }
}
