// Runs HelloJohn's sample as its webhooks guide prints it, hellojohn.ts, with what it leaves to its reader: what to do with
// an event, and where to listen.
const fs = require('node:fs');
const path = require('node:path');
const Module = require('node:module');
const { ModuleKind, ScriptTarget, transpileModule } = require('typescript');

const LEFT_TO_THE_READER = `
async function handleEvent(event: unknown) {}
app.listen(Number(process.env.PORT), '127.0.0.1');
`;

const source = fs.readFileSync(path.join(__dirname, 'hellojohn.ts'), 'utf8') + LEFT_TO_THE_READER;
const { outputText } = transpileModule(source, {
  compilerOptions: { esModuleInterop: true, module: ModuleKind.CommonJS, target: ScriptTarget.ES2022 },
});
const sample = new Module(__filename, module);
sample.paths = module.paths;
sample._compile(outputText, path.join(__dirname, 'hellojohn.compiled.js'));
