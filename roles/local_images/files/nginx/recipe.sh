# shellcheck shell=sh
# Runs inside the new root, as root, in a directory that is gone afterwards (files of the recipe, ca.crt).
# Lines that begin with "==> " are shown to the user as the step being worked at.
echo "==> arranging it like the official image"
# Debian's nginx runs as www-data; service definitions rely on the official image's 101:101.
if grep -qE '^[^:]*:[^:]*:101:' /etc/passwd /etc/group; then
  echo "user or group 101 is taken by another package" >&2
  exit 1
fi
echo 'nginx:x:101:101:nginx:/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'nginx:x:101:' >> /etc/group
rm -rf /etc/nginx/sites-* /etc/nginx/snippets /etc/nginx/modules-* /etc/nginx/*-win /etc/nginx/koi-utf
rm -rf /var/www /var/lib/nginx
install -d -o 101 -g 101 /var/cache/nginx /var/lib/nginx
install -m 0644 nginx.conf /etc/nginx/nginx.conf
install -m 0644 default.conf /etc/nginx/conf.d/default.conf
ln -sf /dev/stdout /var/log/nginx/access.log
ln -sf /dev/stderr /var/log/nginx/error.log

echo "==> checking nginx"
nginx -t
