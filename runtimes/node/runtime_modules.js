'use strict';

/**
 * Where modules are found besides /var/task: layers, and the AWS SDK that Lambda brings,
 * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-package.html#nodejs-package-searchpath.
 *
 * `require` reads NODE_PATH. `import` does not, but looks into node_modules of every folder above the importing file:
 * in a sandbox /var/node_modules leads to the layers and /node_modules to the SDK. What that does not cover (folders
 * for one version, a NODE_PATH of the function's own) takes a hook, which is only set if such a folder is there.
 */

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { pathToFileURL } = require('url');

/** Folders that `import` finds by itself. */
const FOUND_ANYWAY = ['/opt/nodejs/node_modules', '/var/runtime/node_modules', '/var/runtime', '/var/task'];

/** Makes both kinds of modules honour NODE_PATH, and gives it Lambda's default. */
function honourNodePath(major) {
  process.env.NODE_PATH ||= [`/opt/nodejs/node${major}/node_modules`, ...FOUND_ANYWAY].join(':');
  // This is what the start of a process does with the variable.
  Module._initPaths();
  const folders = process.env.NODE_PATH.split(path.delimiter).filter(
    (folder) => path.basename(folder) === 'node_modules' && !FOUND_ANYWAY.includes(folder) && fs.existsSync(folder),
  );
  if (folders.length > 0) {
    resolveImportsIn(folders);
  }
}

/** Has `import` look for packages in these node_modules folders, if it finds them nowhere else. */
function resolveImportsIn(folders) {
  // A package is looked for beside the file that imports it: this is such a file for each folder.
  const parents = folders.map((folder) => pathToFileURL(path.join(folder, '../import.mjs')).href);
  if (Module.registerHooks !== undefined) {
    Module.registerHooks({ resolve: resolver(parents) });
  } else if (Module.register !== undefined) {
    // Runs in a thread of its own, which has nothing of this file.
    const source = `
      let resolveIn;
      export function initialize(parents) { resolveIn = (${resolverAsync})(parents); }
      export const resolve = (...values) => resolveIn(...values);
    `;
    Module.register(`data:text/javascript,${encodeURIComponent(source)}`, { data: parents });
  }
}

function resolver(parents) {
  return (specifier, context, nextResolve) => {
    for (const parentURL of [context.parentURL, ...parents]) {
      try {
        return nextResolve(specifier, { ...context, parentURL });
      } catch (error) {
        const isPackage = !/^([./#]|[a-z]+:)/.test(specifier);
        if (!isPackage || error?.code !== 'ERR_MODULE_NOT_FOUND') {
          throw error;
        }
      }
    }
    // For the message that names the importing file.
    return nextResolve(specifier, context);
  };
}

function resolverAsync(parents) {
  return async (specifier, context, nextResolve) => {
    for (const parentURL of [context.parentURL, ...parents]) {
      try {
        return await nextResolve(specifier, { ...context, parentURL });
      } catch (error) {
        const isPackage = !/^([./#]|[a-z]+:)/.test(specifier);
        if (!isPackage || error?.code !== 'ERR_MODULE_NOT_FOUND') {
          throw error;
        }
      }
    }
    return nextResolve(specifier, context);
  };
}

module.exports = { honourNodePath };
