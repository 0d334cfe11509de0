'use strict';

/**
 * Finds and loads the function's handler, `folder/module.export.nested`,
 * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.
 */

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { pathToFileURL } = require('url');
const { HandlerNotFound, ImportModuleError, MalformedHandlerName, UserCodeSyntaxError } = require('./runtime_errors.js');

/** Node.js runs TypeScript by leaving out the types since this version. */
const TYPESCRIPT_MAJOR_MIN = 24;

/** `require` as Lambda's runtime has it: "Require stack" in messages names that file. */
const requireUserCode = Module.createRequire('/var/runtime/index.mjs');

/** Takes a handler's name apart: `{ folder, moduleName, exportPath }`. */
function parseHandlerName(name) {
  if (name.includes('..')) {
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const last = path.basename(name);
  const match = /^([^.]*)\.(.*)$/s.exec(last);
  if (match === null) {
    throw new MalformedHandlerName('Bad handler');
  }
  return { folder: name.slice(0, name.lastIndexOf(last)), moduleName: match[1], exportPath: match[2] };
}

/** Loads the module and returns the handler. */
async function loadHandler(taskRoot, name) {
  const { folder, moduleName, exportPath } = parseHandlerName(name);
  let loaded;
  try {
    loaded = await loadModule(taskRoot, folder, moduleName);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new UserCodeSyntaxError(error);
    }
    if (error?.code === 'MODULE_NOT_FOUND') {
      throw new ImportModuleError(error);
    }
    throw error;
  }
  const handler = exportPath.split('.').reduce((value, key) => value && value[key], loaded);
  if (!handler) {
    throw new HandlerNotFound(`${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw new HandlerNotFound(`${name} is not a function`);
  }
  return handler;
}

async function loadModule(taskRoot, folder, moduleName) {
  const base = path.resolve(taskRoot, folder, moduleName);
  const isModuleFolder = hasTypeModule(path.dirname(base));
  const required = (file) => (fs.existsSync(file) ? requireUserCode(file) : undefined);
  const imported = async (file) => (fs.existsSync(file) ? import(pathToFileURL(file).href) : undefined);
  const native = (file) => (isModuleFolder ? imported(file) : required(file));
  const candidates = [
    () => required(base),
    () => native(`${base}.js`),
    () => imported(`${base}.mjs`),
    () => required(`${base}.cjs`),
  ];
  if (Number.parseInt(process.versions.node, 10) >= TYPESCRIPT_MAJOR_MIN) {
    candidates.push(
      () => native(`${base}.ts`),
      () => imported(`${base}.mts`),
      () => required(`${base}.cts`),
    );
  }
  for (const candidate of candidates) {
    const loaded = await candidate();
    if (loaded) {
      return loaded;
    }
  }
  // A package of node_modules, or the error that names what was looked for.
  return requireUserCode(requireUserCode.resolve(moduleName, { paths: [taskRoot, path.join(taskRoot, folder)] }));
}

/** Whether the nearest package.json declares its .js files as ES modules. */
function hasTypeModule(folder) {
  if (folder.endsWith('/node_modules')) {
    return false;
  }
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder === '/' ? false : hasTypeModule(path.dirname(folder));
}

module.exports = { loadHandler, parseHandlerName };
