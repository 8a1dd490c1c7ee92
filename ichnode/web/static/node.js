// The node page renews itself; not under somebody who marks a sentence to copy it.
import "./app.js";
import { renewing } from "./renew.js";

const EVERY_MS = 5000;
const isMarked = () => !getSelection().isCollapsed && document.getElementById("vitals").contains(getSelection().anchorNode);

setInterval(renewing("vitals", () => "/node/vitals", isMarked), EVERY_MS);
