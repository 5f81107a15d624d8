import { render } from "preact";
import { App } from "./app";
import { startTheme } from "./theme";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";

// The address with the token leads on to one with an empty query.
if (!location.search && location.href.includes("?")) {
  history.replaceState(null, "", location.pathname + location.hash);
}
startTheme();
render(<App />, document.getElementById("app")!);
