// The page's policy refuses styles that a script writes into it, and nothing here is written in htmx's attributes to be run.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
// A page that nobody looks at asks for nothing.
document.addEventListener("htmx:beforeRequest", (event) => { if (document.hidden) event.preventDefault(); });
