import { render } from "preact";
import { App } from "./app";
import { startTheme } from "./theme";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";

startTheme();
render(<App />, document.getElementById("app")!);
