<?php
// Sends one message with PHPMailer; what it needs stands as JSON in its first argument.
require '/usr/share/php/libphp-phpmailer/autoload.php';

$job = json_decode($argv[1]);
$mail = new PHPMailer\PHPMailer\PHPMailer();
$mail->isSMTP();
$mail->Host = $job->host;
$mail->Port = $job->port;
$mail->Helo = 'client.example';
$mail->SMTPSecure = ['clear' => '', 'starttls' => 'tls', 'implicit' => 'ssl'][$job->tls];
$mail->SMTPAutoTLS = false;
$mail->SMTPOptions = ['ssl' => ['cafile' => $job->ca]];
$mail->SMTPAuth = $job->auth !== 'none';
$mail->AuthType = strtoupper($job->auth);
$mail->Username = $job->user;
$mail->Password = $job->password;
$mail->CharSet = 'utf-8';
$mail->setFrom($job->sender);
foreach ($job->recipients as $recipient) $mail->addBCC($recipient);
$mail->Subject = 'matrix';
$mail->Body = file_get_contents($job->file);
if (!$mail->send()) {
  fwrite(STDERR, $mail->ErrorInfo . "\n");
  exit(1);
}
