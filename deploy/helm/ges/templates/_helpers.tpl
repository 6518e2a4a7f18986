{{/* "true", or nothing, for true and "true". */}}
{{- define "ges.on" -}}
{{- if eq (toString .) "true" -}}true{{- end -}}
{{- end -}}

{{/* First part of names: <servicename>-<release>, with room for what comes after. */}}
{{- define "ges.name" -}}
{{- printf "%s-%s" .Values.ges.servicename .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The product's rule for it. */}}
{{- define "ges.configMap" -}}
{{- printf "%s-%s-configmap" .Values.ges.servicename .Release.Name -}}
{{- end -}}

{{- define "ges.chosen" -}}
app.kubernetes.io/name: ges
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Nodes alone, not the pods of jobs and tests. */}}
{{- define "ges.nodes" -}}
{{ include "ges.chosen" . }}
app.kubernetes.io/component: node
{{- end -}}

{{/* Each value of a map as text: labels and annotations know nothing else. */}}
{{- define "ges.texts" -}}
{{- range $key, $value := . }}
{{ $key }}: {{ toString $value | quote }}
{{- end -}}
{{- end -}}

{{- define "ges.labels" -}}
{{ include "ges.chosen" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- include "ges.texts" (omit .Values.ges.labels.globalLabels "app.kubernetes.io/name" "app.kubernetes.io/instance") }}
{{- end -}}

{{/* Annotations of an object: those of all, and `own`, a map. Nothing if there are none. */}}
{{- define "ges.annotations" -}}
{{- $all := merge (dict) (.own | default dict) .root.Values.ges.annotations.globalAnnotations -}}
{{- if $all }}
annotations:
  {{- include "ges.texts" $all | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "ges.image" -}}
{{- $image := .Values.ges.deployment.image -}}
{{- $name := printf "%s:%s" $image.name (toString ($image.version | default .Chart.AppVersion)) -}}
{{- if $image.registry -}}{{- printf "%s/%s" (trimSuffix "/" $image.registry) $name -}}{{- else -}}{{- $name -}}{{- end -}}
{{- end -}}

{{/* A port may be a text after its template was read. */}}
{{- define "ges.port" -}}
{{- $port := int .value -}}
{{- if or (lt $port 1) (gt $port 65535) -}}{{- fail (printf "%s has to be a port from 1 to 65535" .name) -}}{{- end -}}
{{- $port -}}
{{- end -}}

{{- define "ges.internalPort" -}}
{{- include "ges.port" (dict "name" "ges.configMap.env.server.internal_port" "value" .Values.ges.configMap.env.server.internal_port) -}}
{{- end -}}

{{- define "ges.externalPort" -}}
{{- include "ges.port" (dict "name" "ges.configMap.env.server.external_port" "value" .Values.ges.configMap.env.server.external_port) -}}
{{- end -}}

{{/* What a port of the service speaks, for meshes and gateways: the name of the port says http. */}}
{{- define "ges.appProtocol" -}}
{{- if .Values.ges.tls.secretName -}}appProtocol: https{{- end -}}
{{- end -}}

{{/* Ports of URLs in a text, also of `name=url;region;role,…`, separated by commas. */}}
{{- define "ges.urlPorts" -}}
{{- $ports := list -}}
{{- range $entry := splitList "," (toString (. | default "")) -}}
{{- $url := first (splitList ";" $entry) | trim -}}
{{- if contains "=" $url -}}{{- $url = last (splitList "=" $url) -}}{{- end -}}
{{- if $url -}}
{{- if not (contains "://" $url) -}}{{- $url = printf "http://%s" $url -}}{{- end -}}
{{- $parts := urlParse $url -}}
{{- if regexMatch ":[0-9]+$" $parts.host -}}{{- $ports = append $ports (regexFind "[0-9]+$" $parts.host) -}}
{{- else -}}{{- $ports = append $ports (ternary "443" "80" (eq $parts.scheme "https")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "," (uniq $ports) -}}
{{- end -}}

{{- define "ges.gwsPorts" -}}
{{- $gws := .Values.ges.configMap.integrations.gws -}}
{{- include "ges.urlPorts" (join "," (compact (list $gws.auth $gws.env $gws.conf $gws.stats))) -}}
{{- end -}}

{{- define "ges.voicePorts" -}}
{{- $vmcs := .Values.ges.configMap.integrations.vmcs -}}
{{- $ports := list -}}
{{- if $vmcs.redis_host -}}{{- $ports = append $ports (toString (int $vmcs.redis_port)) -}}{{- end -}}
{{- with $vmcs.ors_redis_location -}}{{- $ports = append $ports (regexFind "[0-9]+$" (last (splitList ":" .)) | default "10000") -}}{{- end -}}
{{- join "," (uniq $ports) -}}
{{- end -}}

{{/* The security of every container of ours: nothing that it does not need. */}}
{{- define "ges.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{- define "ges.podSecurity" -}}
{{- range $name, $value := .Values.ges.securityContext }}
{{- if kindIs "invalid" $value }}
{{- else if has $name (list "runAsUser" "runAsGroup" "fsGroup") }}
{{ $name }}: {{ int64 $value }}
{{- else if eq $name "runAsNonRoot" }}
{{ $name }}: {{ ternary "true" "false" (eq (include "ges.on" $value) "true") }}
{{- else }}
{{ dict $name $value | toYaml }}
{{- end }}
{{- end }}
{{- if not (hasKey .Values.ges.securityContext "seccompProfile") }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end -}}

{{/* What pods of nodes and of the migration have in common. */}}
{{- define "ges.pod" -}}
{{- $deployment := .Values.ges.deployment -}}
enableServiceLinks: false
automountServiceAccountToken: false
{{- with $deployment.serviceAccountName }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- with $deployment.image.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "ges.podSecurity" . | trim | nindent 2 }}
{{- with .Values.ges.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $deployment.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $deployment.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $deployment.nodeSelector }}
nodeSelector:
  {{- include "ges.texts" . | nindent 2 }}
{{- end }}
{{- with .Values.ges.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "ges.nodeName" -}}
- name: GES_NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}

{{/* Unknown members of the groups that stay open, because the product's chart may know more than is published. */}}
{{- define "ges.unknown" -}}
{{- $ges := .Values.ges -}}
{{- $known := dict
  "ges" (list $ges (splitList " " "servicename serviceName labels annotations configMap deployment priorityClassName resources migration ingress networkPolicies monitoring prometheus grafana podDisruptionBudget secrets service tls securityContext tolerations affinity tests hpa image replicas nodeSelector dnsConfig update_strategy topologySpreadConstraints"))
  "ges.configMap.env" (list $ges.configMap.env (splitList " " "log server regionAffinity devopsAccessGroups devOpsAccessGroups decrypt_password"))
  "ges.configMap.integrations" (list $ges.configMap.integrations (splitList " " "db redis gws vmcs ors urs"))
  "ges.deployment" (list $ges.deployment (splitList " " "replicas image hpa update_strategy strategy min_ready_seconds minReadySeconds preStopSeconds terminationGracePeriodSeconds serviceAccountName env envFrom dnsPolicy dnsConfig nodeSelector topologySpreadConstraints resources priorityClassName tolerations affinity securityContext"))
  "ges.monitoring" (list $ges.monitoring (splitList " " "prometheus grafana")) -}}
{{- $found := list -}}
{{- range $group, $pair := $known -}}
{{- range $name := keys (first $pair) | sortAlpha -}}
{{- if not (has $name (last $pair)) -}}{{- $found = append $found (printf "%s.%s" $group $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- join ", " $found -}}
{{- end -}}
