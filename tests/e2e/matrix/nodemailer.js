// Sends one raw message with nodemailer; what it needs stands as JSON in its first argument.
const fs = require('fs');
const nodemailer = require('nodemailer');

const job = JSON.parse(process.argv[2]);
const transport = nodemailer.createTransport({
  host: job.host, port: job.port, name: 'client.example',
  secure: job.tls === 'implicit', requireTLS: job.tls === 'starttls', ignoreTLS: job.tls === 'clear',
  tls: {ca: fs.readFileSync(job.ca)},
  auth: job.auth === 'none' ? undefined : {user: job.user, pass: job.password},
  authMethod: job.auth.toUpperCase(),
});
transport.sendMail({
  envelope: {from: job.sender, to: job.recipients},
  raw: fs.readFileSync(job.file),
}).then(
    info => process.exit(info.rejected.length === 0 ? 0 : 1),
    error => { console.error(String(error)); process.exit(1); });
