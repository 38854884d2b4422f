// Runs a sample as its vendor prints it, in TypeScript, between what it leaves to its reader.
const fs = require('node:fs');
const path = require('node:path');
const Module = require('node:module');
const { ModuleKind, ScriptTarget, transpileModule } = require('typescript');

function run(name, before, after) {
  const source = before + fs.readFileSync(path.join(__dirname, `${name}.ts`), 'utf8') + after;
  const { outputText } = transpileModule(source, {
    compilerOptions: { esModuleInterop: true, module: ModuleKind.CommonJS, target: ScriptTarget.ES2022 },
  });
  const sample = new Module(__filename, module);
  sample.paths = module.paths;
  sample._compile(outputText, path.join(__dirname, `${name}.compiled.js`));
}

module.exports = { run };
