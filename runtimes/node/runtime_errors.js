'use strict';

/**
 * Errors as Lambda's Node.js runtime names, reports and logs them,
 * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html.
 */

const { types } = require('util');

/** A class of failures that Lambda itself names `Runtime.<kind>`. */
function faultClass(kind) {
  const Fault = { [kind]: class extends Error {} }[kind];
  // On the prototype, so that the first line of the stack has it, too.
  Fault.prototype.name = `Runtime.${kind}`;
  return Fault;
}

const CallbackHandlerDeprecated = faultClass('CallbackHandlerDeprecated');
const HandlerNotFound = faultClass('HandlerNotFound');
const InvalidStreamingOperation = faultClass('InvalidStreamingOperation');
const MalformedHandlerName = faultClass('MalformedHandlerName');
const MalformedStreamingHandler = faultClass('MalformedStreamingHandler');
const NodeJsExit = faultClass('NodeJsExit');

/** A module of the function, or one that it needs, is not there. */
class ImportModuleError extends faultClass('ImportModuleError') {
  constructor(cause) {
    super(String(cause));
  }
}

/** The function's code cannot be parsed: the stack shows where. */
class UserCodeSyntaxError extends faultClass('UserCodeSyntaxError') {
  constructor(cause) {
    super(String(cause));
    this.stack = cause.stack;
  }
}

/** A promise was rejected and nobody handled that. */
class UnhandledPromiseRejection extends faultClass('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(textOf(reason));
    this.reason = reason;
    this.promise = promise;
  }
}

function textOf(value) {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

function looksLikeError(value) {
  if (types.isNativeError(value)) {
    return true;
  }
  return ['name', 'message', 'stack'].every((field) => typeof value?.[field] === 'string' && value[field] !== '');
}

/** The document that the caller of a failed invocation gets. Never throws, whatever was thrown. */
function errorPayload(error) {
  try {
    if (looksLikeError(error)) {
      return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    const errorMessage =
      'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack';
    return { errorType: 'handled', errorMessage, trace: [] };
  }
}

function asError(value) {
  return value instanceof Error ? value : new Error(textOf(value));
}

/** An error as text-format logs show it: a tab, then JSON with everything the error carries. */
function errorForLog(value) {
  const error = asError(value);
  const expand = (_, inner) => {
    if (!(inner instanceof Error)) {
      return inner;
    }
    const fields = { errorType: inner.name, errorMessage: inner.message, code: inner.code, ...inner };
    if (typeof inner.stack === 'string') {
      fields.stack = inner.stack.split('\n');
    }
    return fields;
  };
  try {
    return '\t' + JSON.stringify(error, expand);
  } catch {
    return '\t' + JSON.stringify(errorPayload(error));
  }
}

module.exports = {
  CallbackHandlerDeprecated,
  HandlerNotFound,
  ImportModuleError,
  InvalidStreamingOperation,
  MalformedHandlerName,
  MalformedStreamingHandler,
  NodeJsExit,
  UnhandledPromiseRejection,
  UserCodeSyntaxError,
  asError,
  errorForLog,
  errorPayload,
};
