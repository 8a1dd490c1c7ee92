// Pages without a list of their own tell of positive studies, too: in words, and by what is wanted on this machine.
import { tellingOfPositives } from "./announce.js";
import { signIn } from "./app.js";
import { listen } from "./news.js";

listen(tellingOfPositives(), signIn);
