'use strict';

/**
 * The console as Lambda's Node.js runtime sets it up,
 * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html.
 */

const fs = require('fs');
const { format } = require('util');
const { asError, errorForLog } = require('./runtime_errors.js');

/** Levels of the log pipe, in ascending order. */
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };

/** The methods of the console that are replaced, by their level. `fatal` is Lambda's own. */
const METHODS = { trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };

/** Bytes of a log frame before its text: length, level, microseconds since the epoch. */
const FRAME_HEAD_BYTES = 13;

// Libraries look the invocation up under these names.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

/** Names the invocation that log lines belong to from now on. */
function setCurrentInvoke(requestId, tenantId) {
  globalThis[REQUEST_ID] = requestId;
  globalThis[TENANT_ID] = tenantId;
}

/** Writes log events as frames into the pipe `fd`, so that one of several lines stays one event. */
function logToPipe(fd) {
  return (level, date, text) => {
    const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + Buffer.byteLength(text));
    frame.writeUInt32LE(frame.length - 4, 0);
    frame[4] = LEVELS[level];
    frame.writeBigUInt64LE(BigInt(date.getTime()) * 1000n, 5);
    frame.write(text, FRAME_HEAD_BYTES);
    let done = 0;
    try {
      while (done < frame.length) {
        done += fs.writeSync(fd, frame, done);
      }
    } catch {
      // Nobody reads any more: a function never fails because of its log.
    }
  };
}

/** Without a log pipe: carriage returns keep the lines of one event together, as on Lambda. */
function logToStdout(level, date, text) {
  process.stdout.write(text.trimEnd().replace(/\n/g, '\r') + '\n');
}

/** One event in text format. */
function textLine(level, date, values) {
  return `${date.toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${format(...values)}\n`;
}

/** One event in JSON format. */
function jsonLine(level, date, values) {
  const record = { timestamp: date.toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (globalThis[TENANT_ID]) {
    record.tenantId = globalThis[TENANT_ID];
  }
  if (values.length <= 1) {
    record.message = values[0];
    try {
      return JSON.stringify(record, (_, value) => (value instanceof Error ? { ...errorFields(value), ...value } : value));
    } catch {
      // Circular, or a BigInt.
      record.message = format(values[0]);
      return JSON.stringify(record);
    }
  }
  record.message = format(...values);
  const error = values.find((value) => value instanceof Error);
  return JSON.stringify(error === undefined ? record : { ...record, ...errorFields(error) });
}

function errorFields(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

/**
 * Replaces the console's methods; `logFd` is the log pipe, if there is one. Returns how the runtime itself logs an
 * error: `(title, error) => void`.
 */
function patchConsole(logFd) {
  const isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const levelMin = LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE;
  const sink = logFd === undefined ? logToStdout : logToPipe(logFd);
  const line = isJson ? jsonLine : textLine;
  for (const [method, level] of Object.entries(METHODS)) {
    // What Lambda writes always: nothing is above it.
    const isWanted = LEVELS[level] >= levelMin;
    console[method] = (...values) => {
      if (isWanted) {
        const date = new Date();
        sink(level, date, line(level, date, values));
      }
    };
  }
  return isJson
    ? (title, error) => console.error(asError(error))
    : (title, error) => console.error(title, errorForLog(error));
}

module.exports = { LEVELS, patchConsole, setCurrentInvoke };
