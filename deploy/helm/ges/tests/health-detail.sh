# Every node behind the service says how it and its dependencies are; DOWN is no database.
detail=$(curl --fail --silent --show-error --max-time 20 "$INTERNAL/ges/v1/health/detail")
echo "$detail"
echo "$detail" | grep -qE '"status":"(UP|DEGRADED)","version"'
