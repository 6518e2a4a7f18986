{{/* Settings by their names in docs/configuration.md; what is empty is left to its default. */}}
{{- define "ges.settings" -}}
{{- $env := .Values.ges.configMap.env -}}
{{- $to := .Values.ges.configMap.integrations -}}
{{- $all := dict
  "GES_BIND_ADDRESS" "0.0.0.0"
  "GES_EXTERNAL_PORT" (include "ges.externalPort" .)
  "GES_INTERNAL_PORT" (include "ges.internalPort" .)
  "GES_INTERNAL_URL" $env.server.internal_url
  "GES_LOG_LEVEL" $env.log.level
  "GES_LOG_MAX_LEN" (int64 $env.log.maxLen)
  "GES_LOG_FORMAT" "json"
  "GES_REGION_AFFINITY" $env.regionAffinity
  "GES_DEVOPS_ACCESS_GROUPS" $env.devopsAccessGroups
  "GES_GWS_AUTH" $to.gws.auth
  "GES_GWS_ENV" $to.gws.env
  "GES_GWS_CONF" $to.gws.conf
  "GES_GWS_PUBLIC_AUTH" $to.gws.public_auth
  "GES_GWS_STATS" $to.gws.stats
  "GES_ORS_REDIS_LOCATION" $to.vmcs.ors_redis_location
  "GES_ORS_NODES" $to.ors.nodes
  "GES_URS_NODES" $to.urs.nodes
-}}
{{- if $to.vmcs.redis_host -}}
{{- $_ := set $all "GES_VMCS_REDIS_HOST" $to.vmcs.redis_host -}}
{{- $_ := set $all "GES_VMCS_REDIS_PORT" (include "ges.port" (dict "name" "ges.configMap.integrations.vmcs.redis_port" "value" $to.vmcs.redis_port)) -}}
{{- end -}}
{{- $_ := set $all "GES_VMCS_REDIS_CLUSTER_MODE" $to.vmcs.redis_cluster_mode -}}
{{- $_ := set $all "GES_VMCS_REDIS_STREAM_NAME" $to.vmcs.redis_stream_name -}}
{{- if $to.redis.host -}}
{{- if and $to.redis.sentinel (include "ges.on" $to.redis.cluster) -}}{{- fail "ges.configMap.integrations.redis.sentinel: a Redis Cluster has no sentinels; set cluster or sentinel" -}}{{- end -}}
{{- $_ := set $all "GES_REDIS_HOST" $to.redis.host -}}
{{- $_ := set $all "GES_REDIS_PORT" (include "ges.port" (dict "name" "ges.configMap.integrations.redis.port" "value" $to.redis.port)) -}}
{{- $_ := set $all "GES_REDIS_SECURE" $to.redis.secure -}}
{{- $_ := set $all "GES_REDIS_CLUSTER" $to.redis.cluster -}}
{{- $_ := set $all "GES_REDIS_SENTINEL" $to.redis.sentinel -}}
{{- end -}}
{{- $all = merge $all (include "ges.databaseSettings" . | fromYaml) -}}
{{- if include "ges.simulator" . -}}{{- $_ := set $all "GES_DATA_DIR" "/data" -}}{{- end -}}
{{- if .Values.ges.tls.secretName -}}
{{- $_ := set $all "GES_TLS_CERT" "/tls/tls.crt" -}}
{{- $_ := set $all "GES_TLS_KEY" "/tls/tls.key" -}}
{{- end -}}
{{- include "ges.checkSettings" .Values.ges.configMap.settings -}}
{{- $all = mergeOverwrite $all .Values.ges.configMap.settings -}}
{{- include "ges.filled" $all -}}
{{- end -}}

{{/* Whether each node plays a contact centre of its own, for trying things: the only case in which a node writes files. */}}
{{- define "ges.simulator" -}}
{{- if eq (get .Values.ges.configMap.settings "GES_ROUTING" | toString) "simulator" -}}true{{- end -}}
{{- end -}}

{{/* A config map is read by many; and what has a value of its own is used elsewhere in this chart too. */}}
{{- define "ges.checkSettings" -}}
{{- $secrets := list "GES_MASTER_KEY" "GES_MASTER_KEY_OLD" "GES_DB_USER" "GES_DB_PASSWORD" "GES_INTERNAL_TOKEN" "GES_DEMO_API_KEY" "GES_VOICE_REDIS_ORS_STREAM" "GES_REDIS_CACHEKEY" "GES_AUTHENTICATION_CLIENT_ID" "GES_AUTHENTICATION_CLIENT_PASSWORD" "GES_AUTHENTICATION_CLIENT_SECRET" "GES_DECRYPT_PASSWORD" "GES_OIDC_CLIENT_SECRET" -}}
{{- $own := list "GES_NODE_NAME" "GES_DATA_DIR" "GES_CONFIG_FOLDERS" "GES_EXTERNAL_PORT" "GES_INTERNAL_PORT" "GES_DB_HOST" "GES_DB_PORT" "GES_DB_NAME" "GES_DB_SECURE" "GES_VMCS_REDIS_PORT" "GES_ORS_REDIS_LOCATION" "GES_REDIS_PORT" "GES_TLS_CERT" "GES_TLS_KEY" -}}
{{- range $name := keys . | sortAlpha -}}
{{- if has $name $secrets -}}{{- fail (printf "ges.configMap.settings.%s: this is a secret; put it into a Secret that is mounted at one of ges.secrets.configFolders" $name) -}}{{- end -}}
{{- if has $name $own -}}{{- fail (printf "ges.configMap.settings.%s: this chart has a value of its own for it" $name) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the migration needs as well, before there is a config map. */}}
{{- define "ges.databaseSettings" -}}
{{- $db := .Values.ges.configMap.integrations.db -}}
{{- $folders := list -}}
{{- if include "ges.on" .Values.ges.secrets.volumeMounts.enabled -}}{{- $folders = splitList "," .Values.ges.secrets.configFolders -}}{{- end -}}
{{- $all := dict
  "GES_DB_HOST" (required "ges.configMap.integrations.db.host has to name the PostgreSQL server: nodes meet in it" $db.host)
  "GES_DB_PORT" (include "ges.port" (dict "name" "ges.configMap.integrations.db.port" "value" $db.port))
  "GES_DB_NAME" $db.name
  "GES_DB_SECURE" $db.secure
  "GES_CONFIG_FOLDERS" (join "," $folders)
  "GES_CA_FILES" (get .Values.ges.configMap.settings "GES_CA_FILES")
-}}
{{- include "ges.filled" $all -}}
{{- end -}}

{{- define "ges.filled" -}}
{{- range $name, $value := . }}
{{- if and (not (kindIs "invalid" $value)) (ne (toString $value) "") }}
{{ $name }}: {{ if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ int64 $value | quote }}{{ else }}{{ toString $value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}
