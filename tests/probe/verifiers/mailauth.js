// Judges messages by mailauth: node mailauth.js FOLDER KEYS < LIST, where FOLDER holds node_modules/mailauth, KEYS is a
// JSON object {name: TXT record} and a line of LIST the path of a message. Prints a JSON object a line:
// {selector: result}.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const [folder, keysFile] = process.argv.slice(2);
const { dkimVerify } = require(path.join(folder, 'node_modules', 'mailauth', 'lib', 'dkim', 'verify.js'));
const keys = JSON.parse(fs.readFileSync(keysFile));

async function resolver(name, type) {
    if (type === 'TXT' && keys[name.toLowerCase()]) return [[keys[name.toLowerCase()]]];
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
}

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const found = await dkimVerify(fs.readFileSync(line), { resolver });
        const results = {};
        for (const one of found.results || []) if (one.selector) results[one.selector] = one.status.result;
        console.log(JSON.stringify(results));
    }
})();
