import { render } from "preact";
render(<p>Tulle</p>, document.getElementById("app")!);
